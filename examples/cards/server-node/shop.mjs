// The shop: cards, orders and messages of a member. It knows no HTTP.

import { randomUUID } from 'node:crypto'
import { Duplicate } from './database.mjs'

/** The steps of an order, by number: placed, paid, shipped, delivered. */
const LAST_STEP = 3
const SHIPPED = 2
/** How long a repeated request is known. */
const REQUESTS_KEPT_MS = 7 * 86_400_000
const LIST_MAX = 200
/** What the columns take. */
const TEXT_CHARS_MAX = 64
const KEY_CHARS_MAX = 128

/** The answer to a request that is refused. */
export class Refused extends Error {
  constructor(code, message) {
    super(message)
    this.code = code
  }
}

/** A text that the database can take; one that is missing is empty. */
function textOf(value, charsMax = TEXT_CHARS_MAX) {
  if (typeof value !== 'string') return ''
  if (value.includes('\0') || [...value].length > charsMax) throw new Refused('bad_request', 'a text is too long')
  return value
}

export class Shop {
  #database
  #onChange

  /** `onChange` is called when there is something to publish. */
  constructor(database, onChange) {
    this.#database = database
    this.#onChange = onChange
  }

  /** Runs a method for a member, until `deadline`. `id` names the request where the app has given it no key of its own. */
  async call(member, method, data, id, deadline) {
    const run = Object.hasOwn(this.#methods, method) ? this.#methods[method] : undefined
    if (!run) throw new Refused('not_found', 'there is no such method')
    const key = textOf(typeof data?.key === 'string' ? data.key : id, KEY_CHARS_MAX)
    return run(textOf(member), data ?? {}, key, deadline)
  }

  #methods = {
    'card.list': (member, _, __, deadline) =>
      this.#read(deadline, 'SELECT number, bound_at FROM cards WHERE member = ? ORDER BY bound_at, number LIMIT ?', [member, LIST_MAX]),

    'order.list': (member, _, __, deadline) =>
      this.#read(deadline, 'SELECT id, card, item, step, changed_at FROM orders WHERE member = ? ORDER BY changed_at DESC, id LIMIT ?', [member, LIST_MAX]),

    'message.list': (member, _, __, deadline) =>
      this.#read(deadline, 'SELECT id, kind, about, sent_at FROM messages WHERE member = ? ORDER BY sent_at DESC, id LIMIT ?', [member, LIST_MAX]),

    'card.bind': (member, { number }, key, deadline) => {
      if (typeof number !== 'string' || !/^\d{8,19}$/.test(number)) throw new Refused('bad_number', 'a card number has 8 to 19 digits')
      return this.#change(member, key, deadline, async (query, publish) => {
        const card = { number, bound_at: Date.now() }
        try {
          await query('INSERT INTO cards (number, member, bound_at) VALUES (?, ?, ?)', [number, member, card.bound_at])
        } catch (error) {
          throw error instanceof Duplicate ? new Refused('card_taken', 'this card is bound already') : error
        }
        await publish('', { type: 'card.bound', card })
        return card
      })
    },

    'order.place': (member, { card: given, item }, key, deadline) => {
      if (typeof item !== 'string' || !/^[\w-]{1,64}$/.test(item)) throw new Refused('bad_request', 'no item')
      const card = textOf(given)
      return this.#change(member, key, deadline, async (query, publish) => {
        const { rows } = await query('SELECT number FROM cards WHERE number = ? AND member = ?', [card, member])
        if (!rows.length) throw new Refused('no_card', 'this card is not bound')
        const order = { id: randomUUID(), card, item, step: 0, changed_at: Date.now() }
        const values = [order.id, member, order.card, item, 0, order.changed_at]
        await query('INSERT INTO orders (id, member, card, item, step, changed_at) VALUES (?, ?, ?, ?, ?, ?)', values)
        await publish(`orders:${member}`, order)
        return order
      })
    },

    'order.advance': (member, { order: given, step }, key, deadline) => {
      const wanted = textOf(given)
      return this.#change(member, key, deadline, async (query, publish) => {
        const { rows } = await query('SELECT id, card, item, step FROM orders WHERE id = ? AND member = ?', [wanted, member])
        const [order] = rows
        if (!order) throw new Refused('not_found', 'there is no such order')
        // The app says which step it wants: two taps at once are one.
        if (order.step >= LAST_STEP || order.step + 1 !== step) throw new Refused('conflict', 'the order is elsewhere by now')
        Object.assign(order, { step, changed_at: Date.now() })
        await query('UPDATE orders SET step = ?, changed_at = ? WHERE id = ?', [step, order.changed_at, order.id])
        await publish(`orders:${member}`, order)
        if (step === SHIPPED) {
          const message = { id: randomUUID(), kind: 'shipped', about: order.item, sent_at: order.changed_at }
          const values = [message.id, member, message.kind, message.about, message.sent_at]
          await query('INSERT INTO messages (id, member, kind, about, sent_at) VALUES (?, ?, ?, ?, ?)', values)
          await publish('', { type: 'message', message })
        }
        return order
      })
    },

    // The member has tapped 允许 for these templates: one more message each.
    'consent.give': (member, { templates: given }, key, deadline) => {
      if (!Array.isArray(given) || given.length > 5) throw new Refused('bad_request', 'up to 5 templates')
      const templates = given.map((template) => textOf(template))
      return this.#change(member, key, deadline, async (query) => {
        for (const template of templates) {
          const { changed } = await query('UPDATE consents SET quota = quota + 1 WHERE member = ? AND template = ?', [member, template])
          if (!changed) await query('INSERT INTO consents (member, template, quota) VALUES (?, ?, 1)', [member, template])
        }
        return { templates }
      })
    },
  }

  #read(deadline, sql, values) {
    return this.#database.transaction(deadline, async (query) => (await query(sql, values)).rows)
  }

  /** Runs `effect` once for each key; a repetition has the same answer. */
  async #change(member, key, deadline, effect) {
    await this.#meet(member, deadline)
    const answer = await this.#database.transaction(deadline, async (query) => {
      // The lock: other changes of this member wait here, so what follows sees all that they have done.
      await query('UPDATE members SET changes = changes + 1 WHERE id = ?', [member])
      const known = await query('SELECT answer FROM requests WHERE member = ? AND request_key = ?', [member, key])
      if (known.rows.length) return JSON.parse(known.rows[0].answer)
      const number = (await query('SELECT changes FROM members WHERE id = ?', [member])).rows[0].changes
      let part = 0
      const publish = (channel, body) =>
        query('INSERT INTO outbox (member, change_number, part, id, channel, body) VALUES (?, ?, ?, ?, ?, ?)', [
          member, number, part++, randomUUID(), channel, JSON.stringify(body),
        ])
      const answer = await effect(query, publish)
      const values = [member, key, JSON.stringify(answer), Date.now()]
      await query('INSERT INTO requests (member, request_key, answer, answered_at) VALUES (?, ?, ?, ?)', values)
      await query('DELETE FROM requests WHERE member = ? AND answered_at < ?', [member, Date.now() - REQUESTS_KEPT_MS])
      return answer
    })
    this.#onChange()
    return answer
  }

  #met = new Set()

  /** Sees to it that there is a row to lock. */
  async #meet(member, deadline) {
    if (this.#met.has(member)) return
    await this.#database.transaction(deadline, async (query) => {
      const { rows } = await query('SELECT id FROM members WHERE id = ?', [member])
      if (rows.length) return
      await query('INSERT INTO members (id, changes) VALUES (?, 0)', [member])
    }).catch((error) => {
      if (!(error instanceof Duplicate)) throw error
    })
    if (this.#met.size >= 10_000) this.#met.clear()
    this.#met.add(member)
  }
}
