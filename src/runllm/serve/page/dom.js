// Elements, what is wrong with them, and texts from files.

const LARGEST_FILE = 20 << 20;
let ids = 0;

/** An id that no other element of the page has. */
export const newId = () => `f${++ids}`;

/**
 * An element. A text among its children stays a text.
 * @param {string} name
 * @param {Record<string, any>} [attributes]  a function is called on the event of its name
 * @param {...(Node | string | null | undefined | false)} children
 */
export function el(name, attributes = {}, ...children) {
  const node = /** @type {any} */ (document.createElement(name));
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(key, value);
    else if (value !== undefined && value !== null && value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child));
  return node;
}

/**
 * Say what is wrong with a field; nothing takes it back.
 * @param {HTMLElement} node  of a control
 * @param {string} message
 */
export function fault(node, message) {
  const place = /** @type {HTMLElement | null} */ (node.querySelector(":scope > .fault"));
  if (!place) return;
  place.textContent = message;
  place.hidden = !message;
  node.classList.toggle("wrong", Boolean(message));
  const input = node.querySelector(":scope > :is(input, select, textarea)") ?? node.querySelector(":scope > label > [type=checkbox]");
  if (message) input?.setAttribute("aria-invalid", "true");
  else input?.removeAttribute("aria-invalid");
}

/** Where a fault is said. */
export const noteOf = () => el("p", { class: "fault", id: newId(), hidden: true });

/** Take the text of a file that is chosen, or dropped on the area. @param {HTMLElement} node @param {any} area @param {string} label */
export function takeFiles(node, area, label) {
  const take = async (/** @type {File | undefined} */ file) => {
    if (!file) return;
    fault(node, "");
    try {
      if (file.size > LARGEST_FILE) throw new Error("large");
      area.value = new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
      area.dispatchEvent(new Event("input", { bubbles: true }));
    } catch {
      fault(node, file.size > LARGEST_FILE ? `${file.name} is larger than 20 MiB.` : `${file.name} is no UTF-8 text.`);
    }
  };
  const picker = el("input", { type: "file", class: "hidden", "aria-label": `${label}: the text of a file`, change: () => take(picker.files[0]).then(() => (picker.value = "")) });
  node.querySelector("label")?.after(el("label", { class: "link pick" }, picker, "from a file"));
  area.addEventListener("dragover", (/** @type {any} */ event) => event.preventDefault());
  area.addEventListener("drop", (/** @type {any} */ event) => {
    if (!event.dataTransfer?.files.length) return;
    event.preventDefault();
    take(event.dataTransfer.files[0]);
  });
}
