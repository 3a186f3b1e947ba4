// The back end of the card shop: hooks and webhooks of the gateway, the login of the web page, and the page itself.

import { createHmac, timingSafeEqual } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { extname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Webhook } from 'standardwebhooks'
import { TautlineServer } from 'tautline-server'
import { Database } from './database.mjs'
import { Outbox } from './outbox.mjs'
import { Unavailable } from './pool.mjs'
import { Refused, Shop } from './shop.mjs'
import { Notices, WeChat } from './wechat.mjs'

const settings = {
  listen: process.env.LISTEN ?? '127.0.0.1:8020',
  database: process.env.DATABASE_URL ?? 'sqlite:cards.db',
  hookSecret: process.env.HOOK_SECRET,
  loginSecret: process.env.LOGIN_SECRET,
  gateway: { url: process.env.GATEWAY_URL ?? 'http://127.0.0.1:8021', key: process.env.API_KEY },
  /** Where pages connect to. */
  socket: process.env.SOCKET_URL ?? 'ws://127.0.0.1:8021/connect',
  wechat: {
    api: process.env.WECHAT_API ?? 'https://api.weixin.qq.com',
    appId: process.env.WECHAT_APP_ID,
    appSecret: process.env.WECHAT_APP_SECRET,
    template: process.env.WECHAT_TEMPLATE ?? 'order-shipped',
  },
  page: process.env.PAGE ?? fileURLToPath(new URL('../web/dist', import.meta.url)),
}
const BODY_BYTES_MAX = 256 * 1024
const LOGIN_MS = 7 * 86_400_000
const DEADLINE_MS = 4_500
/** What is left of the gateway's deadline for the way back. */
const WAY_BACK_MS = 200
/** Less than the `timeout` of the webhook. */
const WEBHOOK_DEADLINE_MS = 5_000

const webhook = new Webhook(settings.hookSecret)
const database = await Database.open(settings.database)
const gateway = new TautlineServer({ ...settings.gateway, timeoutMs: 3_000 })
const outbox = new Outbox(database, gateway)
const shop = new Shop(database, () => outbox.poke())
const notices = new Notices(database, gateway, new WeChat(settings.wechat), settings.wechat.template)

/** A question of the gateway. The member is who the gateway says it is: it has checked the login, or asked here. */
async function answer(question, deadline) {
  switch (question.kind) {
    case 'connect':
    case 'refresh': {
      const login = memberOf(question.login.token ?? '')
      return login ? { result: login } : { error: { code: 'unauthorized', message: 'log in' } }
    }
    case 'subscribe':
      return question.user && question.channel === `orders:${question.user}`
        ? { result: {} }
        : { error: { code: 'permission_denied', message: 'these orders are not yours' } }
    case 'call':
      if (!question.user) return { error: { code: 'unauthorized', message: 'log in' } }
      return { result: { data: await shop.call(question.user, question.method, question.data, question.id, deadline) } }
    default:
      return { error: { code: 'permission_denied', message: 'not here' } }
  }
}

async function onHook(body, headers) {
  const allowedMs = Number(headers['tautline-deadline-ms'] ?? DEADLINE_MS) - WAY_BACK_MS
  try {
    return [200, await answer(webhook.verify(body, headers), Date.now() + Math.min(allowedMs, DEADLINE_MS))]
  } catch (error) {
    if (error instanceof Refused) return [200, { error: { code: error.code, message: error.message } }]
    throw error
  }
}

/** Events come at least once. */
async function onEvent(body, headers) {
  const { type, data } = webhook.verify(body, headers)
  if (type === 'inbox.unread') await notices.unread(data, Date.now() + WEBHOOK_DEADLINE_MS)
  return [200, {}]
}

/** A login for the web page. A shop of your own checks a password, or a code by SMS. */
async function onLogin(body) {
  const given = JSON.parse(body)?.name
  const name = typeof given === 'string' ? given.trim().toLowerCase() : ''
  if (!/^[a-z0-9]{1,24}$/.test(name)) return [400, { code: 'bad_name' }]
  const claim = `wx-${name}.${Date.now() + LOGIN_MS}`
  return [200, { member: `wx-${name}`, token: `${claim}.${signed(claim)}` }]
}

function memberOf(token) {
  const [user, until, signature = '', ...more] = String(token).split('.')
  const expected = Buffer.from(signed(`${user}.${until}`))
  const given = Buffer.from(signature)
  const isGood = !more.length && given.length === expected.length && timingSafeEqual(given, expected) && Number(until) > Date.now()
  return isGood ? { user, expires_at: Number(until) } : undefined
}

function signed(claim) {
  return createHmac('sha256', settings.loginSecret).update(claim).digest('base64url')
}

const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.json': 'application/json' }

async function file(path) {
  if (path === '/config.json') return [200, JSON.stringify({ socket: settings.socket, template: settings.wechat.template }), TYPES['.json']]
  const name = normalize(path === '/' ? '/index.html' : path)
  try {
    return [200, await readFile(join(settings.page, name)), TYPES[extname(name)] ?? 'application/octet-stream']
  } catch {
    return [404, 'not found', 'text/plain']
  }
}

const routes = { '/hooks': onHook, '/events': onEvent, '/login': onLogin }

async function handle(request) {
  const path = new URL(request.url, 'http://shop').pathname
  if (request.method === 'GET') return file(path)
  const route = Object.hasOwn(routes, path) ? routes[path] : undefined
  if (request.method !== 'POST' || !route) return [404, '{}', TYPES['.json']]
  const chunks = []
  let bytes = 0
  for await (const chunk of request) {
    bytes += chunk.length
    if (bytes > BODY_BYTES_MAX) return [413, '{}', TYPES['.json']]
    chunks.push(chunk)
  }
  const [status, body] = await route(Buffer.concat(chunks).toString(), request.headers)
  return [status, JSON.stringify(body), TYPES['.json']]
}

/** 503 is what may be asked again: the gateway does, and the answer is recorded by its key. */
function failure(error) {
  if (error.name === 'WebhookVerificationError') return [401, '{}', TYPES['.json']]
  if (error instanceof SyntaxError) return [400, '{}', TYPES['.json']]
  console.error(error.message)
  return [error instanceof Unavailable ? 503 : 500, '{}', TYPES['.json']]
}

const server = createServer(async (request, response) => {
  const [status, body, type] = await handle(request).catch(failure)
  const headers = { 'content-type': type, 'x-content-type-options': 'nosniff' }
  response.writeHead(status, status === 503 ? { ...headers, 'retry-after': '1' } : headers).end(body)
})
// Longer than the gateway keeps an idle connection, which is 30 s.
server.keepAliveTimeout = 60_000
const [host, port] = settings.listen.split(':')
server.listen(Number(port), host, () => console.log(`listening on http://${host}:${server.address().port}`))

process.on('SIGTERM', () => {
  outbox.close()
  server.close(() => database.close())
  server.closeAllConnections()
})
