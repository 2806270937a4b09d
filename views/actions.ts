/**
 * What one can do in a view: the same in the dashboard and in the page.
 *
 * @module
 */

/** The name of an action. */
export type ActionName =
  | "agents"
  | "answer"
  | "delete"
  | "keys"
  | "restart"
  | "resume"
  | "send"
  | "start"
  | "stop";
