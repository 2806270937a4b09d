/**
 * The page in the browser.
 *
 * @module
 */
const { Terminal } = await import("./xterm.ts");
new Terminal().open(document.getElementById("sessions")!);
