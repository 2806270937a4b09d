/**
 * A stand-in for Codex: a shell script with its name, which runs its prompt. That writes to a
 * rollout of the form that Codex 0.169.0 was recorded writing.
 *
 * @module
 */
import {
  type CreatedSession,
  type CreateOptions,
  createSession,
  waitForSession,
} from "../../mod.ts";
import { TestRoot } from "../helpers.ts";

export const ID = "01a2005d-4ef9-7483-9b47-a9b60d093b93";

const SCRIPT = String.raw`#!/bin/sh
for last; do :; done
rollout="$CODEX_HOME/sessions/2026/11/21/rollout-2026-11-21T20-00-00-${ID}.jsonl"
event() {
  mkdir -p "$CODEX_HOME/sessions/2026/11/21"
  echo "{\"timestamp\":\"$(date -u +%Y-%m-%dT%H:%M:%S.%3NZ)\",\"type\":\"event_msg\",\"payload\":$1}" >>"$rollout"
}
begin() { event "{\"type\":\"task_started\",\"turn_id\":\"$1\"}"; }
answer() { event "{\"type\":\"task_complete\",\"turn_id\":\"$1\",\"last_agent_message\":\"$2\"}"; }
fail() { event "{\"type\":\"task_complete\",\"turn_id\":\"$1\",\"error\":{\"message\":\"$2\"}}"; }
header() {
  printf '%s\n' 'OpenAI Codex v0.169.0' -------- "workdir: $PWD" 'session id: ${ID}' -------- user >&2
}
eval "$last"
`;

/** A root with a stand-in for Codex. */
export class Talker implements AsyncDisposable {
  readonly #root = new TestRoot();
  readonly dir = `${this.#root.dir}/agent`;
  readonly root = `${this.#root.dir}/sessions`;
  readonly env = { CODEX_HOME: `${this.dir}/home` };
  readonly codex = `${this.dir}/codex`;

  constructor() {
    Deno.mkdirSync(this.dir);
    for (const name of ["codex", "claude", "gemini"]) {
      Deno.writeTextFileSync(`${this.dir}/${name}`, SCRIPT, { mode: 0o755 });
    }
  }

  /** Starts a turn of a conversation that its arguments name. */
  start(
    script: string,
    options: Partial<CreateOptions> = {},
  ): Promise<CreatedSession> {
    const command = [this.codex, "exec", "resume", ID, "--", script];
    const { root, env, dir } = this;
    return createSession({ root, env, cwd: dir, command, ...options });
  }

  /** The same to its end. */
  async run(
    script: string,
    options: Partial<CreateOptions> = {},
  ): Promise<CreatedSession> {
    const session = await this.start(script, options);
    await waitForSession(session.id, { root: this.root, timeoutMs: 10_000 });
    return session;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#root[Symbol.asyncDispose]();
  }
}
