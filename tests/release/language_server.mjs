// What a YAML language server says of a file, spoken to over stdio as an editor does.
//   node language_server.mjs SERVER SCHEMA FILE true|false      the last: whether it may report problems
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [server, schema, file, validate] = process.argv.slice(2);
const uri = pathToFileURL(file).href;
const text = readFileSync(file, "utf8");
const settings = {
  validate: validate === "true",
  hover: true,
  completion: true,
  schemas: { [pathToFileURL(schema).href]: ["*.rllm"] },
  schemaStore: { enable: false },
};
const child = spawn("node", [server, "--stdio"]);
const waiting = new Map();
let problems;
let buffer = Buffer.alloc(0);
let count = 0;

function send(message) {
  const body = JSON.stringify({ jsonrpc: "2.0", ...message });
  child.stdin.write(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
}

function ask(method, params) {
  const id = ++count;
  send({ id, method, params });
  return new Promise(resolve => waiting.set(id, resolve));
}

function receive(message) {
  if (message.method === "textDocument/publishDiagnostics") problems = message.params.diagnostics;
  else if (message.method === "workspace/configuration") {
    send({ id: message.id, result: message.params.items.map(item => (item.section === "yaml" ? settings : {})) });
  } else if (message.method && message.id !== undefined) send({ id: message.id, result: null });
  else if (waiting.has(message.id)) waiting.get(message.id)(message.result);
}

child.stdout.on("data", chunk => {
  buffer = Buffer.concat([buffer, chunk]);
  for (;;) {
    const head = buffer.indexOf("\r\n\r\n");
    if (head < 0) return;
    const end = head + 4 + Number(/Content-Length: (\d+)/.exec(buffer.subarray(0, head))[1]);
    if (buffer.length < end) return;
    receive(JSON.parse(buffer.subarray(head + 4, end)));
    buffer = buffer.subarray(end);
  }
});

const capabilities = { workspace: { configuration: true }, textDocument: { hover: {}, completion: {}, publishDiagnostics: {} } };
await ask("initialize", { processId: process.pid, rootUri: null, capabilities });
send({ method: "initialized", params: {} });
send({ method: "workspace/didChangeConfiguration", params: { settings: { yaml: settings } } });
send({ method: "textDocument/didOpen", params: { textDocument: { uri, languageId: "yaml", version: 1, text } } });
const line = text.split("\n").findIndex(found => found.startsWith("description:"));
let hover;
for (let tries = 0; tries < 100 && !(hover?.contents && problems); tries++) {
  await new Promise(resolve => setTimeout(resolve, 200)); // until it has read its settings and the schema
  hover = await ask("textDocument/hover", { textDocument: { uri }, position: { line, character: 3 } });
}
const completion = await ask("textDocument/completion", { textDocument: { uri }, position: { line, character: 0 } });
const labels = (completion.items ?? completion).map(item => item.label);
console.log(JSON.stringify({ problems: (problems ?? []).map(found => found.message), hover: JSON.stringify(hover), completion: labels }));
child.kill();
process.exit(0);
