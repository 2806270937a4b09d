/**
 * Lets xterm.js style itself under a strict Content-Security-Policy. It makes `<style>` elements
 * without a nonce, and sets `style` as an attribute: the policy forbids both, and the colours would be
 * missing. With the nonce of this response, and through the CSSOM, they are allowed.
 *
 * Output of programs never gets near this: xterm.js makes text nodes of it.
 *
 * @module
 */
let isDone = false;

/** Call it before the first terminal is made. */
export function allowStyles(): void {
  if (isDone) return;
  isDone = true;
  const { nonce = "" } =
    document.querySelector<HTMLScriptElement>("script[nonce]") ?? {};
  const { setAttribute } = Element.prototype;
  Element.prototype.setAttribute = function (name, value) {
    if (name === "style" && this instanceof HTMLElement) {
      this.style.cssText = value;
    } else setAttribute.call(this, name, value);
  };
  const create = document.createElement;
  document.createElement = function (this: Document, ...given: [string]) {
    const element: HTMLElement = create.apply(this, given);
    if (element instanceof HTMLStyleElement) element.nonce = nonce;
    return element;
  } as typeof create;
}
