/**
 * Command-line options by their specification, strictly.
 *
 * Not `parseArgs` of `@std/cli`, which loses input: with `stopEarly` it drops a `--` among
 * the operands, it reads `-eA=1` as `1`, and it calls `--id=` unknown (`tests/std_test.ts`
 * shows all three). Here an option is known or an error, and for a verbatim command every
 * word from the first operand on stays as it is.
 *
 * @module
 */
import { ArgumentError } from "../errors.ts";
import { shellWord } from "./format.ts";
import { nearestOption } from "./hints.ts";

/** One option of a command. */
export interface Option {
  /** Its long name, without dashes. */
  readonly name: string;
  /** Its short name, one character. */
  readonly short?: string;
  /** The name of its value in the help; an option without one is a flag. */
  readonly value?: string;
  /** Whether it can be given several times. */
  readonly repeat?: boolean;
  /** One line of help. */
  readonly help: string;
  /** The heading of its group in the help, if it is not among the others. */
  readonly group?: string;
}

/** The options and operands of one call. */
export interface Parsed {
  /** The options without a value that were given. */
  readonly flags: ReadonlySet<string>;
  /** The values of the others, in the order given. */
  readonly values: ReadonlyMap<string, readonly string[]>;
  /** The words that are not options. */
  readonly operands: readonly string[];
}

/** How the words of a command are read. */
export interface Grammar {
  /** Its name. */
  readonly name?: string;
  /** From the first operand on, everything is an operand; a `--` before it is dropped. */
  readonly verbatim?: boolean;
  /** The operands from the second on are any text. */
  readonly takesText?: boolean;
  /** Advice for options of other programs. */
  readonly foreign?: Readonly<Record<string, string>>;
}

/**
 * Parses the words of a call.
 *
 * @throws {ArgumentError} for an option that is unknown, lacks a value, takes none,
 * or is given twice.
 */
export function parseOptions(
  args: readonly string[],
  options: readonly Option[],
  { name = "", verbatim = false, takesText = false, foreign = {} }: Grammar =
    {},
): Parsed {
  const flags = new Set<string>();
  const values = new Map<string, string[]>();
  const operands: string[] = [];

  function take(option: Option, shown: string, value: string | undefined) {
    if (option.value === undefined) {
      if (value !== undefined) {
        throw new ArgumentError(`Option ${shown} takes no value`);
      }
      flags.add(option.name);
      return;
    }
    if (value === undefined) {
      throw new ArgumentError(`Option ${shown} needs a value: ${option.value}`);
    }
    const given = values.get(option.name) ?? [];
    if (given.length > 0 && !option.repeat) {
      throw new ArgumentError(`Option ${shown} is given twice`);
    }
    values.set(option.name, [...given, value]);
  }

  function unknown(arg: string, shown: string): ArgumentError {
    const near = nearestOption(shown, options.map(({ name }) => name));
    const hint = foreign[shown] ?? (near && `did you mean ${near}?`);
    const isText = /^-+[^=]*\s/.test(arg) ||
      takesText && operands.length > 0 && hint === undefined;
    if (isText) {
      const words = [name, ...operands, "--", shellWord(arg)];
      return new ArgumentError(
        `Text starting with "-" must follow --: ${words.join(" ").trim()}`,
      );
    }
    return new ArgumentError(
      `Unknown option ${shown}${hint === undefined ? "" : `; ${hint}`}`,
    );
  }

  for (let i = 0; i < args.length; i++) {
    const arg = args[i]!;
    if (arg === "--") {
      operands.push(...args.slice(i + 1));
      break;
    }
    if (arg === "-" || !arg.startsWith("-")) {
      if (verbatim) {
        operands.push(...args.slice(i));
        break;
      }
      operands.push(arg);
    } else if (arg.startsWith("--")) {
      const [, long = "", value] = /^--([^=]*)(?:=([^]*))?$/.exec(arg) ?? [];
      const option = options.find((known) => known.name === long);
      if (option === undefined) throw unknown(arg, `--${long}`);
      const apart = option.value !== undefined && value === undefined;
      take(option, `--${long}`, apart ? args[++i] : value);
    } else {
      // -abc: flags in one word; the first that takes a value takes the rest.
      for (let at = 1; at < arg.length; at++) {
        const shown = `-${arg[at]}`;
        const option = options.find((known) => known.short === arg[at]);
        if (option === undefined) throw unknown(arg, shown);
        if (option.value === undefined) take(option, shown, undefined);
        else {
          const rest = arg.slice(at + 1).replace(/^=/, "");
          take(option, shown, at + 1 < arg.length ? rest : args[++i]);
          break;
        }
      }
    }
  }
  return { flags, values, operands };
}
