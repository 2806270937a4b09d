/**
 * Who started a session: the label `parent`, the id of the session in which it was created.
 *
 * The parents of the parent stand in the metadata, too (`ancestors`). So a session's descent is
 * known without reading any other session, also when those are deleted or damaged.
 *
 * @module
 */
import { dirname, join } from "../std.ts";
import {
  isId,
  type Meta,
  META_BYTES,
  parseMeta,
  type Paths,
  pathsIn,
} from "../store.ts";
import { isGranted, readFile } from "../system/files.ts";

/** The label's name. */
export const PARENT = "parent";

/** More parents than this, one above the other, are not kept: only the nearest. */
const MAX_ANCESTORS = 100;

/** The labels and the descent of a session that is created now; an explicit `parent` wins. */
export function withParent(
  root: string,
  labels: Meta["labels"] = {},
): Pick<Meta, "labels" | "ancestors"> {
  const parent = labels[PARENT] ?? ownId(root);
  if (parent === undefined) return { labels };
  const meta = metaIn(root, parent);
  const ancestors = meta === undefined ? [] : parentsOf(meta);
  return {
    labels: { ...labels, [PARENT]: parent },
    ...(ancestors.length > 0 &&
      { ancestors: ancestors.slice(0, MAX_ANCESTORS) }),
  };
}

/** The label `parent` of a session, that of its parent, and so on: ids mostly, the nearest first. */
export function parentsOf({ labels, ancestors = [] }: Meta): readonly string[] {
  const parent = labels[PARENT];
  return parent === undefined ? [] : [parent, ...ancestors];
}

/**
 * The labels of a session that takes up an earlier one. Within a session it is that one's child. Else
 * it keeps its nearest parent that is still there: the id of a deleted one may mean another session.
 */
export function labelsAgain({ dir }: Paths, meta: Meta): Meta["labels"] {
  const { [PARENT]: _, ...labels } = meta.labels;
  const root = dirname(dir);
  const parent = ownId(root) ??
    parentsOf(meta).find((one) =>
      !isId(one) || isOlder(metaIn(root, one), meta)
    );
  return parent === undefined ? labels : { ...labels, [PARENT]: parent };
}

/** Tells whether a session may have created another one. */
function isOlder(meta: Meta | undefined, other: Meta): boolean {
  return meta !== undefined &&
    Date.parse(meta.createdAt) <= Date.parse(other.createdAt);
}

/**
 * The id of the session of this root that this process runs in, by its environment; `undefined` also
 * if that may not be read.
 */
function ownId(root: string): string | undefined {
  const id = variable("CODEX_SESSION_ID") ?? "";
  const isOwn = isId(id) &&
    variable("CODEX_SESSION_DIR") === join(root, id) &&
    metaIn(root, id) !== undefined;
  return isOwn ? id : undefined;
}

function variable(name: string): string | undefined {
  return isGranted({ name: "env", variable: name })
    ? Deno.env.get(name)
    : undefined;
}

/** The metadata of a session; `undefined` if there is none with this id, or it is damaged. */
function metaIn(root: string, id: string): Meta | undefined {
  if (!isId(id)) return undefined;
  const text = readFile(pathsIn(join(root, id), id).meta, META_BYTES);
  try {
    return text === undefined ? undefined : parseMeta(text, id);
  } catch {
    return undefined;
  }
}
