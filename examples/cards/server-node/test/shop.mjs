// A back end under test, with a gateway and a WeChat that are played by the test. `SERVER` starts another back end than this one.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Webhook } from 'standardwebhooks'

const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const TRIES = 4
const START_MS = 60_000
const NODE = [process.execPath, join(import.meta.dirname, '../server.mjs')]

/** Waits for a condition. */
export async function until(condition, what, ms = 20_000) {
  for (const end = Date.now() + ms; Date.now() < end; ) {
    const value = await condition()
    if (value) return value
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  throw new Error(`waited in vain: ${what}`)
}

/** The back ends under test: this one, and the one in Rust where it is built. */
export const SERVERS = { node: NODE, ...(process.env.SERVER_RUST ? { rust: [process.env.SERVER_RUST] } : {}) }

async function served(handle) {
  const server = createServer(async (request, response) => {
    const chunks = []
    for await (const chunk of request) chunks.push(chunk)
    const text = Buffer.concat(chunks).toString()
    const answer = await handle(new URL(request.url, 'http://mock'), text ? JSON.parse(text) : undefined)
    if (answer === undefined) return request.socket.destroy()
    const [status, body] = answer
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const close = () => {
    server.close()
    server.closeAllConnections()
  }
  return { url: `http://127.0.0.1:${server.address().port}`, close }
}

/** The gateway's API: logs and idempotency keys. */
class Gateway {
  logs = new Map()
  keys = new Map()
  /** What becomes of the next requests: `refuse`, or `lose` the answer of what was done. */
  faults = []

  handle = ({ pathname }, body) => {
    const fault = this.faults.shift()
    if (fault === 'refuse') return [503, { code: 'unavailable', status: 503, detail: 'not now' }]
    const answer = pathname === '/api/v1/batch' ? { results: body.entries.map((entry) => this.#append(entry)) } : this.#read(body)
    return fault === 'lose' ? undefined : [200, answer]
  }

  log(channel) {
    if (!this.logs.has(channel)) this.logs.set(channel, [])
    return this.logs.get(channel)
  }

  #append({ publish, push }) {
    const { data, idempotency_key: key } = publish ?? push
    const log = this.log(publish ? publish.channel : `user:${push.user}`)
    if (!this.keys.has(key)) this.keys.set(key, { ok: { epoch: 'e1', offset: log.push(data), at: 1 } })
    return this.keys.get(key)
  }

  #read({ channel, span }) {
    const all = this.log(channel).map((data, index) => ({ offset: index + 1, at: 1, data }))
    return { epoch: 'e1', head: all.length, publications: all.filter(({ offset }) => offset > span.after.offset), more: false }
  }
}

/** Starts all of it; it ends with the test. `command` starts the back end. */
export async function startShop(test, env = {}, command = process.env.SERVER ? [process.env.SERVER] : NODE) {
  const data = await mkdtemp(join(tmpdir(), 'cards-'))
  const gateway = new Gateway()
  const api = await served(gateway.handle)
  const sent = []
  const answers = []
  const wechat = await served(({ pathname }, body) => {
    if (pathname === '/cgi-bin/stable_token') return [200, { access_token: 'token', expires_in: 7200 }]
    sent.push(body)
    const answer = answers.length ? answers.shift() : { errcode: 0, msgid: 1 }
    return answer && [200, answer]
  })
  const variables = {
    LISTEN: '127.0.0.1:0',
    DATABASE_URL: `sqlite:${join(data, 'cards.db')}`,
    HOOK_SECRET: SECRET,
    LOGIN_SECRET: 'login-secret-of-the-tests',
    GATEWAY_URL: api.url,
    API_KEY: 'key-of-the-tests',
    WECHAT_API: wechat.url,
    WECHAT_APP_ID: 'app',
    WECHAT_APP_SECRET: 'secret',
    ...(process.env.CARDS_DATABASE ? { DATABASE_URL: process.env.CARDS_DATABASE } : {}),
    ...env,
  }
  let child
  let url
  const start = async () => {
    child = spawn(command[0], command.slice(1), { env: { ...process.env, ...variables }, stdio: ['ignore', 'pipe', 'inherit'] })
    let said = ''
    url = await new Promise((resolve, reject) => {
      setTimeout(reject, START_MS, new Error('the server does not listen')).unref()
      child.on('error', reject)
      child.on('exit', (code) => reject(new Error(`the server has ended with ${code}`)))
      child.stdout.on('data', (text) => {
        said += text
        const match = /listening on (http:\S+)/.exec(said)
        if (match) resolve(match[1])
      })
    })
  }
  const kill = async (signal) => {
    if (!child.pid || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill(signal)
    await ended
  }
  test.after(async () => {
    await kill('SIGKILL')
    api.close()
    wechat.close()
    await rm(data, { recursive: true, force: true })
  })
  await start()

  /** A signed request, as the gateway sends it. */
  const post = async (path, body, { secret = SECRET, id = crypto.randomUUID(), deadlineMs = 5_000 } = {}) => {
    const text = JSON.stringify(body)
    const at = new Date()
    const headers = {
      'content-type': 'application/json',
      'tautline-deadline-ms': String(deadlineMs),
      'webhook-id': id,
      'webhook-timestamp': String(Math.floor(at.getTime() / 1_000)),
      'webhook-signature': new Webhook(secret).sign(id, at, text),
    }
    const answer = await fetch(url + path, { method: 'POST', headers, body: text })
    return { status: answer.status, body: await answer.json(), retryAfter: answer.headers.get('retry-after') }
  }
  /** Asks again where the answer is 503, as the gateway does; with `once` it does not. */
  const hook = async (question, options = {}) => {
    const asked = { id: crypto.randomUUID(), session: 's', ...question }
    for (let tried = 1; ; tried++) {
      const { status, body } = await post('/hooks', asked, options)
      if (status !== 503 || options.once || tried === TRIES) return status === 200 ? body : { status }
    }
  }
  return {
    gateway,
    sent,
    answers,
    post,
    hook,
    /** `{ result }` of a call; `key` names the request. */
    call: (user, method, data, options) => hook({ kind: 'call', user, method, data }, options),
    unread: (data, options) => post('/events', { type: 'inbox.unread', timestamp: new Date().toISOString(), data }, options),
    fetch: (path, options) => fetch(url + path, options),
    crash: async () => {
      await kill('SIGKILL')
      await start()
    },
  }
}
