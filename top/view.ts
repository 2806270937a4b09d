/**
 * All that the dashboard shows: app.ts changes it, layout.ts draws it.
 *
 * @module
 */
import type { Form } from "./form.ts";
import type { LineEditor } from "./line_editor.ts";
import type { LabelChoice, List } from "./list.ts";
import type { Pager } from "./pager.ts";

/** What has the keys. */
export type Mode =
  | { readonly name: "list" }
  | { readonly name: "filter"; readonly editor: LineEditor }
  | {
    readonly name: "labels";
    readonly choices: readonly LabelChoice[];
    readonly index: number;
  }
  | { readonly name: "ask"; readonly question: string }
  | {
    readonly name: "line";
    readonly prompt: string;
    readonly editor: LineEditor;
  }
  | { readonly name: "form"; readonly form: Form }
  | { readonly name: "help"; readonly offset: number }
  | { readonly name: "pages"; readonly pages: Pager };

/** What stands in the bottom line until the next key. */
export interface Notice {
  readonly text: string;
  readonly isError: boolean;
}

/** All that is shown. */
export interface View {
  readonly list: List;
  /** Whether the first look at the sessions is over. */
  readonly isReady: boolean;
  /** The labels that all sessions here have, as the user has asked for. */
  readonly onlyLabels: readonly string[];
  readonly mode: Mode;
  readonly notice: Notice | null;
  /** What is going on: `Stopping "fix"…`. */
  readonly doing: string | null;
  /** Now, in milliseconds. */
  readonly now: number;
  readonly color: boolean;
  /** The keys that detach, for people. */
  readonly detachKeys: string;
}
