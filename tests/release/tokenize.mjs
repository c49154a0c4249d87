// Tokens of .rllm files, by the engine that VS Code highlights with: one line per stretch of text that is more than prose, with its innermost scope.
//   node tokenize.mjs GRAMMAR FILE...     (in a folder with vscode-textmate, vscode-oniguruma and tm-grammars installed)
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename } from "node:path";

const require = createRequire(`${process.cwd()}/`);
const oniguruma = require("vscode-oniguruma");
const textmate = require("vscode-textmate");
const [grammarFile, ...files] = process.argv.slice(2);
const embedded = name => `node_modules/tm-grammars/grammars/${name}.json`;
const grammars = { "source.rllm": grammarFile, "source.yaml": embedded("yaml"), "source.python": embedded("python") };

await oniguruma.loadWASM(readFileSync(require.resolve("vscode-oniguruma/release/onig.wasm")).buffer);
const registry = new textmate.Registry({
  onigLib: Promise.resolve({
    createOnigScanner: patterns => new oniguruma.OnigScanner(patterns),
    createOnigString: text => new oniguruma.OnigString(text),
  }),
  loadGrammar: async scope => {
    const file = grammars[scope];
    return file ? textmate.parseRawGrammar(readFileSync(file, "utf8"), file) : null;
  },
});
const grammar = await registry.loadGrammar("source.rllm");
for (const file of files) {
  console.log(`# ${basename(file)}`);
  let state = textmate.INITIAL;
  readFileSync(file, "utf8").trimEnd().split("\n").forEach((line, at) => {
    const { tokens, ruleStack } = grammar.tokenizeLine(line, state);
    state = ruleStack;
    console.log(`${at + 1} │ ${line}`);
    const runs = []; // neighbours of one meaning are one
    for (const token of tokens) {
      const scope = token.scopes.at(-1);
      const text = line.slice(token.startIndex, token.endIndex);
      if (runs.at(-1)?.scope === scope) runs.at(-1).text += text;
      else runs.push({ scope, text });
    }
    for (const { scope, text } of runs) {
      if (scope !== "source.rllm" && scope !== "text.prompt.rllm" && text.trim()) console.log(`      ${text.trim()}  ${scope}`);
    }
  });
}
