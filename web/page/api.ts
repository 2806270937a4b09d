/**
 * What the page asks its server to do: one request for each action.
 *
 * The server decides what is allowed; the page only shows what it says.
 *
 * Once the server has ended, any program can take its port, with the page's origin. So the page asks
 * for a proof before each action, socket and script: a text that stands in the page and that only its
 * own server knows. Without it the page sends nothing and believes nothing.
 *
 * @module
 */
import type { ActionName } from "../../views/row.ts";

/** Runs actions on the server. */
export interface Api {
  /**
   * @throws {ApiError} The server refuses, or isn't there.
   */
  call(action: ActionName, args: unknown): Promise<Record<string, unknown>>;
}

/** What an action was refused for. */
export class ApiError extends Error {
  override name = "ApiError";
  /** `not_found`, `blocked` and so on, as the library has them; `offline` if no server answers. */
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** What a page shows whose server has ended. */
export const SERVER_GONE =
  "This page's server has ended. If you have started it again, open the new URL that it printed.";

/** Who answers at the address of this page: its own server, another one, or none. */
export type Answerer = "own" | "other" | "none";

/** After so long, a proof doesn't come. */
const PROOF_MS = 5000;

/** Asks for the proof. */
export async function whoAnswers(): Promise<Answerer> {
  const own = document.querySelector<HTMLMetaElement>("meta[name=proof]");
  try {
    const response = await fetch("proof", {
      cache: "no-store",
      redirect: "error",
      signal: AbortSignal.timeout(PROOF_MS),
    });
    const isOwn = response.ok && own !== null &&
      await response.text() === own.content;
    return isOwn ? "own" : "other";
  } catch {
    return "none";
  }
}

/**
 * Returns if this page's own server answers.
 *
 * @throws {ApiError} `signed_out` or `offline`.
 */
export async function checkServer(): Promise<void> {
  const answerer = await whoAnswers();
  if (answerer === "other") throw new ApiError("signed_out", SERVER_GONE);
  if (answerer === "none") throw new ApiError("offline", UNREACHABLE);
}

const UNREACHABLE = "The server can't be reached.";

/** The server that this page comes from. */
export const api: Api = {
  async call(action, args) {
    await checkServer();
    const response = await request(action, args);
    const answer = await jsonOf(response);
    if (response.ok) return answer;
    const { code, message } = (answer.error ?? {}) as Record<string, unknown>;
    throw new ApiError(
      typeof code === "string" ? code : codeOf(response.status),
      typeof message === "string"
        ? message
        : response.status === 401
        ? SERVER_GONE
        : `The server answers with status ${response.status}.`,
    );
  },
};

async function request(action: string, args: unknown): Promise<Response> {
  try {
    return await fetch(`api/${action}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(args),
    });
  } catch (cause) {
    throw new ApiError("offline", UNREACHABLE, { cause });
  }
}

/** The address of a socket of the server. Values that are undefined are left out. */
export function socketUrl(
  path: string,
  query: Readonly<Record<string, string | number | undefined>> = {},
): string {
  const url = new URL(path, location.href.replace("http", "ws"));
  url.hash = "";
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) url.searchParams.set(name, String(value));
  }
  return url.href;
}

/** The object in a response; an empty one if it isn't JSON. */
async function jsonOf(response: Response): Promise<Record<string, unknown>> {
  try {
    const value = await response.json();
    return typeof value === "object" && value !== null ? value : {};
  } catch {
    return {};
  }
}

function codeOf(status: number): string {
  if (status === 401) return "signed_out";
  return status === 403 ? "permission" : "failed";
}

/** An error as a sentence for the user. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
