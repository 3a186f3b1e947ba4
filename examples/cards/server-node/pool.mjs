// A pool of database connections that outlives its database: a connection is pinged with a short deadline before it is used,
// none gets old, and no wait is longer than the request's own deadline.

/** The database did not answer in time, or is not there. The request may be repeated. */
export class Unavailable extends Error {
  name = 'Unavailable'
}

/** Rejects after `ms`. What it waited for goes on: end that by hand. */
export function within(ms, promise, what) {
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Unavailable(`${what}: no answer within ${Math.round(ms)} ms`)), ms)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

export class Pool {
  #open
  #limits
  #idle = []
  #count = 0
  #waiting = []
  #isClosed = false

  /** `open` gives a connection: `query`, `destroy`, and `isBroken` once it is known to be of no use. */
  constructor(open, limits = {}) {
    this.#open = open
    this.#limits = {
      // Connections at once, and requests that wait for one; one more is refused.
      connections: 8,
      waiting: 1_000,
      // A firewall in between forgets connections, and a database that was moved is found by new ones only.
      lifetimeMs: 300_000,
      // How long a connection may take to say that it is alive, and a new one to be open.
      pingMs: 300,
      openMs: 1_500,
      ...limits,
    }
  }

  /** Gives `act` a connection until it has ended, at most until `deadline`. One on which something failed is closed. */
  async use(deadline, act) {
    await this.#turn(deadline)
    let connection
    try {
      connection = await this.#healthy(deadline)
      const result = await within(left(deadline), act(connection), 'database')
      if (connection.isBroken || this.#isClosed) connection.destroy()
      else this.#idle.push(connection)
      return result
    } catch (error) {
      connection?.destroy()
      throw error
    } finally {
      this.#count--
      this.#waiting.shift()?.()
    }
  }

  /** What is in use is closed when it is given back. */
  close() {
    this.#isClosed = true
    this.#closeIdle()
  }

  #closeIdle() {
    for (const connection of this.#idle.splice(0)) connection.destroy()
  }

  /** Waits until fewer than the most are in use. */
  async #turn(deadline) {
    while (this.#count >= this.#limits.connections) {
      if (this.#waiting.length >= this.#limits.waiting) throw new Unavailable('too many requests wait for the database')
      let wake
      const turn = new Promise((resolve) => this.#waiting.push((wake = resolve)))
      await within(left(deadline), turn, 'waiting for a connection').catch((error) => {
        this.#waiting = this.#waiting.filter((other) => other !== wake)
        throw error
      })
    }
    this.#count++
  }

  async #healthy(deadline) {
    for (let connection; (connection = this.#idle.pop()); ) {
      if (connection.isBroken || Date.now() >= connection.endsAt) {
        connection.destroy()
        continue
      }
      try {
        await within(Math.min(this.#limits.pingMs, left(deadline)), connection.query('SELECT 1'), 'ping')
        return connection
      } catch {
        connection.destroy()
        // Where one is dead, so are mostly all: they are not asked one after the other.
        this.#closeIdle()
      }
    }
    const opening = this.#open()
    // One that comes too late is not kept.
    let isLate = false
    opening.then((connection) => isLate && connection.destroy(), () => undefined)
    try {
      const opened = await within(Math.min(this.#limits.openMs, left(deadline)), opening, 'connecting')
      opened.endsAt = Date.now() + this.#limits.lifetimeMs
      return opened
    } catch (error) {
      isLate = true
      throw error
    }
  }
}

/** Milliseconds until then; not a wait where it is over. */
function left(deadline) {
  const ms = deadline - Date.now()
  if (ms <= 0) throw new Unavailable('the deadline is over')
  return ms
}
