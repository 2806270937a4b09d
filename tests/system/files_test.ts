import {
  exists,
  findProgram,
  identityAt,
  openFile,
  readFile,
  statOptional,
  textOf,
  writeAtomic,
} from "../../system/files.ts";
import { mkfifo } from "../../system/libc.ts";
import {
  assert,
  assertEquals,
  assertThrows,
  PROJECT,
  TestRoot,
} from "../helpers.ts";

/** What can stand in a file's place, by name. */
const NO_FILES: Readonly<Record<string, (path: string) => void>> = {
  pipe: mkfifo,
  folder: (path) => Deno.mkdirSync(path),
  link: (path) => Deno.symlinkSync(`${path}-target`, path),
  loop: (path) => Deno.symlinkSync(path, path),
  nothing: () => {},
  socket: (path) => Deno.listen({ transport: "unix", path }).close(),
};

Deno.test("readFile() and openFile() take nothing but a file for a file", () => {
  using root = new TestRoot();
  Deno.writeTextFileSync(`${root.dir}/link-target`, "outside");
  for (const [name, make] of Object.entries(NO_FILES)) {
    const path = `${root.dir}/${name}`;
    make(path);
    assertEquals(readFile(path), undefined, name);
    assertEquals(openFile(path), undefined, name);
  }
  assertEquals(readFile(`${root.dir}/link-target/below`), undefined);
  assertEquals(readFile(`${root.dir}/link-target`), "outside");
});

Deno.test("openFile() and readFile() look at what they have opened", async () => {
  await using root = new TestRoot();
  const path = `${root.dir}/file`;
  const pipe = `${root.dir}/pipe`;
  mkfifo(pipe);
  // So that nothing hangs that opens the pipe: it reads what was never in the file.
  const writer = new Deno.Command("sh", {
    args: ["-c", 'echo evil >"$1"; echo evil >"$1"', "sh", pipe],
  }).spawn();
  const { lstatSync } = Deno;
  try {
    for (const read of [readFile, openFile]) {
      Deno.writeTextFileSync(path, "good");
      Deno.lstatSync = (looked) => {
        const info = lstatSync(looked);
        Deno.lstatSync = lstatSync;
        Deno.removeSync(path);
        Deno.symlinkSync(pipe, path);
        return info;
      };
      const got = read(path);
      if (typeof got === "string") assertEquals(got, "good");
      else if (got !== undefined) {
        using file = got;
        assertEquals(textOf(file), "good");
      }
      Deno.lstatSync = lstatSync;
      Deno.removeSync(path);
    }
  } finally {
    Deno.lstatSync = lstatSync;
    writer.kill("SIGKILL");
    await writer.status;
  }
});

Deno.test("readFile() takes a file that is larger than asked for as none", () => {
  using root = new TestRoot();
  const path = `${root.dir}/file`;
  for (const size of [0, 1, 4095, 4096, 4097, 65_536, 200_000]) {
    Deno.writeTextFileSync(path, "x".repeat(size));
    assertEquals(readFile(path, size)?.length, size);
    if (size > 0) assertEquals(readFile(path, size - 1), undefined);
    using file = openFile(path)!;
    assertEquals(file.size(), size);
    assertEquals(textOf(file, size)?.length, size);
  }
  assertEquals(readFile(path), undefined, "64 KiB if not told otherwise");
});

Deno.test("openFile() reads anywhere, locks, and knows which file it is", async () => {
  using root = new TestRoot();
  const path = `${root.dir}/file`;
  Deno.writeTextFileSync(path, "0123456789");
  using file = openFile(path)!;
  using other = openFile(path)!;
  const buffer = new Uint8Array(4);
  assertEquals(await file.read(buffer, 2), 4);
  assertEquals(new TextDecoder().decode(buffer), "2345");
  assertEquals(file.readNow(buffer, 8), 2);
  assertEquals(file.readNow(buffer, 99), 0);
  assert(file.tryLock("shared") && other.tryLock("shared"));
  assert(!other.tryLock("exclusive"));
  // Deno's look and libc's agree.
  const { dev, ino, mtime, size } = Deno.lstatSync(path);
  assertEquals(file.identity, `${dev}:${ino}`);
  assertEquals(identityAt(path), file.identity);
  assertEquals(statOptional(path)!.mtime, mtime);
  assertEquals(statOptional(path)!.size, size);
  Deno.removeSync(path);
  Deno.writeTextFileSync(path, "another");
  assert(identityAt(path) !== file.identity);
  assertEquals(textOf(file), "0123456789");
});

Deno.test("tryLock() is not fooled by what V8's own system calls leave in errno", () => {
  using root = new TestRoot();
  const path = `${root.dir}/file`;
  Deno.writeTextFileSync(path, "");
  using holder = openFile(path)!;
  using other = openFile(path)!;
  assert(holder.tryLock("exclusive"));
  const { getInt32 } = Deno.UnsafePointerView.prototype;
  Deno.UnsafePointerView.prototype.getInt32 = function () {
    Deno.UnsafePointerView.prototype.getInt32 = getInt32;
    return 2; // ENOENT, once.
  };
  try {
    assert(!other.tryLock("shared"));
  } finally {
    Deno.UnsafePointerView.prototype.getInt32 = getInt32;
  }
});

Deno.test({
  name: "readFile() does not wait for who holds a lease on the file",
  ignore: Deno.build.os !== "linux",
  async fn() {
    await using root = new TestRoot();
    const path = `${root.dir}/file`;
    Deno.writeTextFileSync(path, "x");
    // F_SETLEASE, F_WRLCK, see fcntl(2): an open(2) that waits, waits for 45 s.
    const holder = new Deno.Command(Deno.execPath(), {
      args: [
        "eval",
        `const c = Deno.dlopen("libc.so.6", {
           open: { parameters: ["buffer", "i32"], result: "i32" },
           fcntl: { parameters: ["i32", "i32", "i64"], result: "i32" },
         }).symbols;
         const fd = c.open(new TextEncoder().encode(${
          JSON.stringify(path)
        } + "\\0"), 2);
         Deno.addSignalListener("SIGIO", () => {});
         console.log(c.fcntl(fd, 1024, 1n));
         setInterval(() => {}, 1000);`,
      ],
      stdout: "piped",
    }).spawn();
    const reader = holder.stdout.getReader();
    try {
      const said = await reader.read();
      assertEquals(new TextDecoder().decode(said.value), "0\n");
      assertThrows(() => readFile(path), Deno.errors.WouldBlock, "EAGAIN");
      assertThrows(() => openFile(path), Deno.errors.WouldBlock, "EAGAIN");
    } finally {
      holder.kill("SIGKILL");
      await reader.cancel();
      await holder.status;
    }
  },
});

Deno.test("openFile() works without --allow-ffi, too", async () => {
  using root = new TestRoot();
  const path = `${root.dir}/file`;
  Deno.writeTextFileSync(path, "x".repeat(5000));
  mkfifo(`${root.dir}/pipe`);
  const script = `${root.dir}/script.ts`;
  Deno.writeTextFileSync(
    script,
    `import { openFile, readFile, textOf } from "file://${PROJECT}system/files.ts";
     using file = openFile("${path}");
     console.log(file.size(), file.identity, file.tryLock("shared"));
     console.log(textOf(file).length, readFile("${path}").length);
     console.log(readFile("${path}", 9), openFile("${root.dir}/pipe"));`,
  );
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--no-prompt", "--no-check", "--quiet"],
      ...[`--allow-read=${root.dir}`, script],
    ],
  }).output();
  assertEquals(new TextDecoder().decode(stderr), "");
  assertEquals(
    new TextDecoder().decode(stdout),
    `5000 ${identityAt(path)} true\n5000 5000\nundefined undefined\n`,
  );
});

Deno.test("writeAtomic() leaves nothing behind when it fails", () => {
  using root = new TestRoot();
  const path = `${root.dir}/stop.json`;
  writeAtomic(path, "{}");
  assertEquals(Deno.readTextFileSync(path), "{}");
  assertEquals(Deno.lstatSync(path).mode! & 0o777, 0o600);
  Deno.mkdirSync(`${root.dir}/folder/below`, { recursive: true });
  assertThrows(() => writeAtomic(`${root.dir}/folder`, "{}"), Error);
  assertEquals([...Deno.readDirSync(root.dir)].length, 2);
  assert(!exists(`${root.dir}/nowhere`));
});

Deno.test("findProgram() finds an executable file by path or on PATH, and nothing else", () => {
  using root = new TestRoot();
  const { dir } = root;
  Deno.mkdirSync(`${dir}/bin/folder`, { recursive: true });
  Deno.writeTextFileSync(`${dir}/bin/program`, "", { mode: 0o755 });
  Deno.writeTextFileSync(`${dir}/bin/text`, "", { mode: 0o644 });
  const find = (program: string, path: string) =>
    findProgram(program, { path, cwd: dir });
  const found = `${dir}/bin/program`;
  assertEquals(find("program", `/none:${dir}/bin`), found);
  assertEquals(find("program", "bin"), found);
  assertEquals(find("bin/program", ""), found);
  assertEquals(find(found, ""), found);
  for (const name of ["text", "folder", "nothing", ""]) {
    assertEquals(find(name, `${dir}/bin`), undefined, name);
  }
  assertEquals(find("program", ""), undefined);
});
