/**
 * Listens on a session's socket and connects to it, however long its path is.
 *
 * A socket's address holds 107 bytes (103 on macOS). Where there is `/proc`, a longer path is reached
 * through a descriptor of the directory, `/proc/self/fd/N/attach.sock`, which always
 * means that directory; elsewhere through a link in a new directory that only this user
 * may enter. The session's directory (0700) and the socket (0600) are private to the user:
 * nobody else can connect or put something in its place.
 *
 * @module
 */
import { isGranted } from "../system/files.ts";
import { close, factsOf, open, openPlace } from "../system/libc.ts";
import { OS } from "../system/os.ts";

/** The name of the socket in a session's directory. */
export const SOCKET = "attach.sock";

/** A path for bind or connect, good until it is disposed of. */
interface SocketPath extends Disposable {
  readonly path: string;
}

/** A short enough path for the socket in `dir`. Needs `--allow-ffi` if `dir` is a long one. */
function socketPath(dir: string): SocketPath {
  const path = `${dir}/${SOCKET}`;
  if (new TextEncoder().encode(path).length <= OS.socketPathBytes) {
    return { path, [Symbol.dispose]() {} };
  }
  if (OS.hasProc) {
    const fd = open(dir);
    return {
      path: `/proc/self/fd/${fd}/${SOCKET}`,
      [Symbol.dispose]: () => close(fd),
    };
  }
  const folder = Deno.makeTempDirSync({
    dir: "/tmp",
    prefix: "codex-session-",
  });
  Deno.symlinkSync(dir, `${folder}/s`);
  return {
    path: `${folder}/s/${SOCKET}`,
    [Symbol.dispose]: () => Deno.removeSync(folder, { recursive: true }),
  };
}

/** Listens on the socket in `dir`, which only this user can reach. */
export function listenIn(dir: string): Deno.Listener {
  using socket = socketPath(dir);
  const before = Deno.umask(0o177);
  try {
    return Deno.listen({ transport: "unix", path: socket.path });
  } finally {
    Deno.umask(before);
  }
}

/** Tells whether Deno may let this process connect by way of a descriptor; asking it would prompt. */
function mayReachDescriptors(): boolean {
  const names = ["ffi", "read", "write", "net"] as const;
  return OS.hasProc && names.every((name) => isGranted({ name }));
}

/**
 * Connects to the socket in `dir`. With all permissions, and where there is `/proc`, it connects
 * to what it has looked at, even if the agent puts a link in its place at that moment.
 *
 * @throws {Deno.errors.NotFound} or `ConnectionRefused` if no relay listens.
 * @throws {Deno.errors.PermissionDenied} if a link is in its place.
 */
export async function connectIn(dir: string): Promise<Deno.Conn> {
  const path = `${dir}/${SOCKET}`;
  if (mayReachDescriptors()) {
    const fd = openPlace(path);
    try {
      checkNoLink(factsOf(fd, path), path);
      const own = `/proc/self/fd/${fd}`;
      return await Deno.connect({ transport: "unix", path: own });
    } catch (error) {
      // Newer versions of Deno want --allow-all, not all permissions one by one.
      if (!(error instanceof Deno.errors.NotCapable)) throw error;
    } finally {
      close(fd);
    }
  }
  checkNoLink(Deno.lstatSync(path), path);
  using socket = socketPath(dir);
  return await Deno.connect({ transport: "unix", path: socket.path });
}

function checkNoLink(
  { isSymlink }: { readonly isSymlink: boolean },
  path: string,
): void {
  if (!isSymlink) return;
  throw new Deno.errors.PermissionDenied(`"${path}" is a link`);
}
