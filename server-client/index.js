/**
 * A thin client of Tautline's server API, for back ends on Node 18 or newer. It has no dependencies.
 *
 * Publications carry an idempotency key, so they are repeated where the outcome of a request is unknown.
 */

import { randomUUID } from 'node:crypto'

const TRIES = 3
const WAIT_MS = 200

/** A refused request: RFC 9457. */
export class Problem extends Error {
  constructor(body) {
    super(body.detail)
    this.name = 'Problem'
    this.code = body.code
    this.status = body.status
    this.field = body.field
    this.retryAfterMs = body.retry_after_ms
    this.head = body.head
  }
}

export class TautlineServer {
  #url
  #key
  #timeoutMs

  constructor({ url, key, timeoutMs = 10_000 }) {
    this.#url = url.replace(/\/+$/, '')
    this.#key = key
    this.#timeoutMs = timeoutMs
  }

  publish(channel, data, options = {}) {
    return this.#repeat('publish', withKey({ channel, data, ...members(options) }))
  }

  push(user, data, options = {}) {
    return this.#repeat('push', withKey({ user, data, ...members(options) }))
  }

  async batch(entries) {
    const keyed = entries.map((entry) => (entry.publish ? { publish: withKey(entry.publish) } : { push: withKey(entry.push) }))
    return (await this.#repeat('batch', { entries: keyed })).results
  }

  history(channel, { span, limit } = {}) {
    return this.#send('POST', 'history', { channel, span, limit })
  }

  sessions(query) {
    const given = Object.entries(query).filter(([, value]) => value !== undefined)
    return this.#send('GET', `sessions?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}`)
  }

  async kick(target, message) {
    return (await this.#send('POST', 'kick', { target, message })).sessions
  }

  async disconnect(target) {
    return (await this.#send('POST', 'disconnect', { target })).sessions
  }

  async revoke(logins) {
    return (await this.#send('POST', 'revoke', logins)).sessions
  }

  /** Only what has idempotency keys may be repeated. */
  async #repeat(operation, body) {
    for (let tried = 1; ; tried++) {
      try {
        return await this.#send('POST', operation, body)
      } catch (error) {
        const mayHelp = error instanceof Problem ? error.status >= 500 || error.status === 429 : true
        if (!mayHelp || tried === TRIES) throw error
        const waitMs = error.retryAfterMs ?? WAIT_MS * 2 ** (tried - 1)
        await new Promise((resolve) => setTimeout(resolve, waitMs))
      }
    }
  }

  async #send(method, path, body) {
    const answer = await fetch(`${this.#url}/api/v1/${path}`, {
      method,
      headers: { authorization: `Bearer ${this.#key}`, 'content-type': 'application/json' },
      body: body && JSON.stringify(body),
      redirect: 'error',
      signal: AbortSignal.timeout(this.#timeoutMs),
    })
    const text = await answer.text()
    if (answer.ok) return JSON.parse(text)
    throw new Problem(problemOf(answer.status, text))
  }
}

function members({ tags, idempotencyKey, expect }) {
  return { tags, idempotency_key: idempotencyKey, expect }
}

function withKey(body) {
  return { ...body, idempotency_key: body.idempotency_key ?? randomUUID() }
}

/** A proxy in between may answer with anything. */
function problemOf(status, text) {
  try {
    const body = JSON.parse(text)
    if (typeof body.code === 'string') return { ...body, status }
  } catch {
    // No JSON.
  }
  return { status, code: 'unknown', detail: `HTTP ${status}` }
}
