/**
 * Making and finding elements. Texts are always text, never HTML.
 *
 * @module
 */

/** What an element is made with: `class`, `text`, and attributes by their names. */
export interface Made {
  readonly class?: string;
  readonly text?: string;
  readonly [attribute: string]: string | undefined;
}

/** Makes an element. */
export function make<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  { text, ...attributes }: Made = {},
  ...children: readonly (Node | string)[]
): HTMLElementTagNameMap[Name] {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined) element.setAttribute(key, value);
  }
  if (text !== undefined) element.textContent = text;
  element.append(...children);
  return element;
}

/** The element of the page with this id. */
export function byId(id: string): HTMLElement {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`The page has no "${id}".`);
  return element;
}

/** The first element that the selector finds. */
export function find<Element extends HTMLElement = HTMLElement>(
  host: ParentNode,
  selector: string,
): Element {
  const element = host.querySelector<Element>(selector);
  if (element === null) throw new Error(`The page has no "${selector}".`);
  return element;
}

/** Sets the text if it is another one: the browser then has nothing to lay out. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** Sets an attribute if it is another one; null removes it. */
export function setAttribute(
  element: Element,
  name: string,
  value: string | null,
): void {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== value) {
    element.setAttribute(name, value);
  }
}
