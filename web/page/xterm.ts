/**
 * The only door of the page to the terminal: xterm.js, in the version of the relay's emulator, and
 * its character widths. It stays a file of its own in the browser, too: the list doesn't wait for it.
 *
 * @module
 */
export {
  type ILinkHandler,
  type ITheme,
  Terminal,
} from "npm:@xterm/xterm@6.0.0";
export { FitAddon } from "npm:@xterm/addon-fit@0.11.0";
export { Unicode11Addon } from "npm:@xterm/addon-unicode11@0.9.0";
