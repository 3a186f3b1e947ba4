// The receivers of this folder behind a real gateway. TAUTLINE is the built binary, PYTHON a Python with requirements.txt.
import assert from "node:assert/strict";
import { spawn, execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, test } from "node:test";
import { promisify } from "node:util";

const run = promisify(execFile);
const TAUTLINE = process.env.TAUTLINE ?? "tautline";
const PYTHON = process.env.PYTHON ?? "python3";
const NEW_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OLD_SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const children = [];

after(() => children.forEach((child) => child.kill()));

/** Starts a program, and waits for a line of its output. */
async function start(program, args, env, pattern) {
  const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "inherit"] });
  children.push(child);
  for await (const line of createInterface(child.stdout)) {
    const found = pattern.exec(line);
    if (found) {
      child.stdout.resume();
      return found[1];
    }
  }
  throw new Error(`${program} has ended`);
}

function receiver(program, file, secret) {
  const env = { HOOK_SECRET: secret, PORT: "0" };
  return start(program, [join(import.meta.dirname, file)], env, /listening on (\d+)/);
}

/** A gateway whose hooks go to this port, signed with the new and the old secret. */
async function gateway(port) {
  const folder = await mkdtemp(join(tmpdir(), "tautline-hooks-"));
  const config = join(folder, "tautline.toml");
  await writeFile(
    config,
    `
[server]
listen = "127.0.0.1:0"
engine = "memory"
[[channels]]
match = "room:*"
publish = "backend"
[[hooks]]
on = ["connect", "publish", "call"]
url = "http://127.0.0.1:${port}/"
secrets = ["${NEW_SECRET}", "${OLD_SECRET}"]
allow_networks = ["127.0.0.1"]
`,
  );
  const url = await start(TAUTLINE, ["serve", "--config", config], {}, /listening on (\S+)/);
  after(() => rm(folder, { recursive: true }));
  return url;
}

async function check(port) {
  const url = await gateway(port);
  const ask = async (...args) => JSON.parse((await run(TAUTLINE, [args[0], url, ...args.slice(1), "--guest"])).stdout);
  assert.deepEqual(await ask("call", "order.create", '{"sku":7}'), { order: 1, sku: 7 });
  assert.equal((await ask("publish", "room:7", '{"text":"hi"}')).offset, 1);
  await assert.rejects(ask("call", "order.destroy"), /not_found|no such method/);
}

for (const [name, program, file] of [
  ["Node", process.execPath, "receiver.mjs"],
  ["Python", PYTHON, "receiver.py"],
]) {
  test(`${name}: receiver with either secret answers during a rotation`, async () => {
    for (const secret of [NEW_SECRET, OLD_SECRET]) await check(await receiver(program, file, secret));
  });

  test(`${name}: receiver with another secret refuses`, async () => {
    const url = await gateway(await receiver(program, file, "whsec_" + "B".repeat(43) + "="));
    await assert.rejects(run(TAUTLINE, ["call", url, "order.create", "{}", "--guest"], { timeout: 3_000 }));
  });
}
