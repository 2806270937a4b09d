/**
 * What this browser remembers for the user. It may not be allowed to: then it forgets.
 *
 * @module
 */

/** What was remembered under a name; `null` if nothing was. */
export function read(name: string): string | null {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

/** Remembers a text; `null` forgets it. */
export function remember(name: string, text: string | null): void {
  try {
    if (text === null) localStorage.removeItem(name);
    else localStorage.setItem(name, text);
  } catch {
    // The page works without it.
  }
}
