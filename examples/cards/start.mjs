// Starts the shop: a mock of WeChat, a back end, and the gateway. `run.mjs` is for people; the tests import this.

import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const PORTS = { backEnd: 8020, gateway: 8021, wechat: 8022 }
const FOLDER = fileURLToPath(new URL('.', import.meta.url))
/** How long a program may take to end before it is killed. */
const STOP_MS = 5_000
const READY = /listening on (http:\/\/\S+)/

/** Free ports, for tests: those of `tautline.toml` are for people. */
export async function freePorts() {
  const servers = await Promise.all(Object.keys(PORTS).map(() => listening()))
  const free = servers.map((server) => server.address().port)
  await Promise.all(servers.map((server) => new Promise((closed) => server.close(closed))))
  const [backEnd, gateway, wechat] = free
  return { backEnd, gateway, wechat }
}

function listening() {
  const server = createServer()
  return new Promise((ready) => server.listen(0, '127.0.0.1', () => ready(server)))
}

/** The gateway warns of variables that are none of its own. */
function inherited() {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('TAUTLINE')))
}

/** A program that can be killed and started again. */
class Program {
  constructor(command, args, env, cwd) {
    Object.assign(this, { command, args, env, cwd })
  }

  /** Resolves when it listens. */
  start() {
    const { command, args, cwd } = this
    const child = spawn(command, args, { cwd, env: { ...inherited(), ...this.env }, stdio: ['ignore', 'pipe', 'inherit'] })
    this.child = child
    let said = ''
    return new Promise((ready, failed) => {
      child.on('error', failed)
      child.on('exit', (code) => failed(new Error(`${command} has ended with ${code}`)))
      child.stdout.on('data', (text) => {
        said = (said + text).slice(-10_000)
        const match = READY.exec(said)
        if (match) ready(match[1])
      })
    })
  }

  async end(signal = 'SIGTERM') {
    const { child } = this
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill(signal)
    const fallback = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
    await ended
    clearTimeout(fallback)
  }

  async crash() {
    await this.end('SIGKILL')
    await this.start()
  }
}

/**
 * Starts everything in `data`. `tautline` is the gateway's binary; `server` starts the back end (default: the one in Node);
 * `socket` is where pages connect, where that is not the gateway itself; `options` are
 * variables for the gateway.
 */
export async function startShop({ tautline, data, ports = PORTS, server, socket, database, log = 'warn', page, options = {} }) {
  await mkdir(data, { recursive: true })
  const secrets = await ownSecrets(join(data, 'secrets.json'))
  // The file as it is, with other ports where tests want them.
  let config = await readFile(join(FOLDER, 'tautline.toml'), 'utf8')
  for (const [name, port] of Object.entries(PORTS)) config = config.replaceAll(`:${port}`, `:${ports[name]}`)
  await writeFile(join(data, 'tautline.toml'), config)
  const at = (port) => `http://127.0.0.1:${port}`

  const wechat = new Program(process.execPath, [join(FOLDER, 'wechat-mock.mjs')], {
    PORT: String(ports.wechat),
    WECHAT_APP_SECRET: secrets.CARDS_APP_SECRET,
  })
  const [command, ...args] = server ?? [process.execPath, join(FOLDER, 'server-node/server.mjs')]
  const backEnd = new Program(command, args, {
    LISTEN: `127.0.0.1:${ports.backEnd}`,
    DATABASE_URL: database ?? `sqlite:${join(data, 'cards.db')}`,
    HOOK_SECRET: secrets.CARDS_HOOK_SECRET,
    LOGIN_SECRET: secrets.LOGIN_SECRET,
    GATEWAY_URL: at(ports.gateway),
    API_KEY: secrets.CARDS_API_KEY,
    SOCKET_URL: socket ?? `ws://127.0.0.1:${ports.gateway}/connect`,
    WECHAT_API: at(ports.wechat),
    WECHAT_APP_ID: 'wx0123456789abcdef',
    WECHAT_APP_SECRET: secrets.CARDS_APP_SECRET,
    PAGE: page ?? join(FOLDER, 'web/dist'),
  })
  const gateway = new Program(tautline, ['serve', '--config', join(data, 'tautline.toml'), '--log', log], { ...secrets, ...options }, data)
  const programs = [wechat, backEnd, gateway]
  const stop = () => Promise.all(programs.map((program) => program.end()))
  try {
    for (const program of programs) await program.start()
  } catch (error) {
    await stop()
    throw error
  }
  return { url: at(ports.backEnd), wechatUrl: at(ports.wechat), gatewayUrl: at(ports.gateway), secrets, wechat, backEnd, gateway, stop }
}

/** Made at the first start, so that logins outlive a restart. */
async function ownSecrets(path) {
  const kept = await readFile(path, 'utf8').catch(() => undefined)
  if (kept) return JSON.parse(kept)
  const random = () => randomBytes(32).toString('base64')
  const made = {
    CARDS_API_KEY: random(),
    CARDS_HOOK_SECRET: `whsec_${random()}`,
    CARDS_APP_SECRET: random(),
    LOGIN_SECRET: random(),
  }
  await writeFile(path, JSON.stringify(made), { mode: 0o600 })
  return made
}
