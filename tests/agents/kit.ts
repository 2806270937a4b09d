/**
 * Codex and Claude Code in a world of their own: their folders, a stand-in for their model, and
 * sessions. The agents are the real ones of the folder that `AGENTS` names, with `bin/codex` and
 * `bin/claude`, or stand-ins, which are everywhere.
 *
 * @module
 */
import { PROJECT, TestRoot } from "../helpers.ts";
import { ModelServer } from "./model_server.ts";

/** Where the real agents are; `undefined` if they aren't. */
export const FOLDER: string | undefined = Deno.env.get("AGENTS");

/** How long a real agent may take for anything, in milliseconds. */
export const DEADLINE_MS = 30_000;

/** Both agents, with all that they keep in a folder of their own. */
export class Kit implements AsyncDisposable {
  readonly #temporary = new TestRoot();
  /** The state directory of their sessions. */
  readonly root = `${this.#temporary.dir}/sessions`;
  /** Their folders: `work`, `codex`, `claude`. */
  readonly dir = `${this.#temporary.dir}/agent`;
  readonly model = new ModelServer();
  /** Where the agents are, also on PATH. */
  readonly bin: string;
  readonly env: Readonly<Record<string, string>>;

  /** The real ones, or stand-ins. */
  constructor(readonly isReal = true) {
    const { dir, model } = this;
    for (const name of ["work", "codex", "claude", "tmp", "bin"]) {
      Deno.mkdirSync(`${dir}/${name}`, { recursive: true });
    }
    if (!isReal) this.#makeStandIns();
    this.bin = isReal ? `${FOLDER}/bin` : `${dir}/bin`;
    this.env = {
      PATH: `${this.bin}:${Deno.env.get("PATH")}`,
      HOME: dir,
      // The command line in a tool call finds its packages.
      DENO_DIR: Deno.env.get("DENO_DIR") ??
        `${Deno.env.get("HOME")}/.cache/deno`,
      TMPDIR: `${dir}/tmp`,
      // Everything but the loopback goes to a closed port.
      HTTP_PROXY: "http://127.0.0.1:9",
      HTTPS_PROXY: "http://127.0.0.1:9",
      NO_PROXY: "127.0.0.1,localhost",
      CODEX_HOME: `${dir}/codex`,
      STAND_IN_KEY: "none",
      MODEL_URL: model.url,
      CLAUDE_CONFIG_DIR: `${dir}/claude`,
      ANTHROPIC_BASE_URL: model.url,
      ANTHROPIC_AUTH_TOKEN: "none",
      CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
      CLAUDE_CODE_DISABLE_OFFICIAL_MARKETPLACE_AUTOINSTALL: "1",
      CLAUDE_CODE_MAX_RETRIES: "0",
      DISABLE_AUTOUPDATER: "1",
    };
    Deno.writeTextFileSync(
      `${dir}/codex/config.toml`,
      `model = "stand-in"
model_provider = "stand-in"
approval_policy = "never"
sandbox_mode = "danger-full-access"
check_for_update_on_startup = false
[model_providers.stand-in]
name = "stand-in"
base_url = "${model.url}/v1"
wire_api = "responses"
env_key = "STAND_IN_KEY"
request_max_retries = 0
stream_max_retries = 0
[features]
plugins = false
[analytics]
enabled = false
[projects."${dir}/work"]
trust_level = "trusted"
`,
    );
    const projects = { [`${dir}/work`]: { hasTrustDialogAccepted: true } };
    Deno.writeTextFileSync(
      `${dir}/claude/.claude.json`,
      JSON.stringify({ hasCompletedOnboarding: true, projects }),
    );
  }

  /** Programs that are called `codex` and `claude`, also in the process table. */
  #makeStandIns(): void {
    const program = `'${Deno.execPath()}' run -A --no-check --no-config ` +
      `'${PROJECT}tests/agents/stand_in.ts'`;
    for (const name of ["codex", "claude"]) {
      Deno.writeTextFileSync(
        `${this.dir}/bin/${name}`,
        `#!/usr/bin/env bash\nexec -a ${name} ${program} ${name} "$@"\n`,
        { mode: 0o755 },
      );
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.model[Symbol.asyncDispose]();
    await this.#temporary[Symbol.asyncDispose]();
  }
}
