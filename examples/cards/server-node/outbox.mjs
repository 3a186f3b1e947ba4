// Publishes what changes have left in the table `outbox`: each entry once and those of a member in their order, also when this
// process or the gateway is killed in between.

const BATCH_MAX = 200
const DEADLINE_MS = 3_000
/** How soon it is tried again after a failure, and how often the table is looked at without one. */
const RETRY_MS = 300
const LOOK_EVERY_MS = 2_000

/** The oldest change of each member, which may have several parts. */
const OLDEST = `
  SELECT o.member, o.id, o.channel, o.body
  FROM (SELECT member, MIN(change_number) AS oldest FROM outbox GROUP BY member ORDER BY member LIMIT ?) AS m
  JOIN outbox AS o ON o.member = m.member AND o.change_number = m.oldest
  ORDER BY o.member, o.part`

export class Outbox {
  #database
  #gateway
  #wake = () => undefined
  #isPoked = false
  #isClosed = false

  constructor(database, gateway) {
    this.#database = database
    this.#gateway = gateway
    void this.#run()
  }

  /** There is something new. */
  poke() {
    this.#isPoked = true
    this.#wake()
  }

  close() {
    this.#isClosed = true
    this.#wake()
  }

  async #run() {
    while (!this.#isClosed) {
      this.#isPoked = false
      let waitMs = LOOK_EVERY_MS
      try {
        while (!this.#isClosed && (await this.#publishSome()));
      } catch (error) {
        console.error(`publishing failed, trying again in ${RETRY_MS} ms: ${error.message}`)
        waitMs = RETRY_MS
      }
      if (this.#isPoked && waitMs === LOOK_EVERY_MS) continue
      await new Promise((resolve) => {
        this.#wake = resolve
        setTimeout(resolve, waitMs).unref()
      })
    }
  }

  /** The oldest entry of each member; whether there may be more. */
  async #publishSome() {
    const { rows } = await this.#database.transaction(Date.now() + DEADLINE_MS, (query) => query(OLDEST, [BATCH_MAX]))
    const oldest = [...new Map(rows.reverse().map((row) => [row.member, row])).values()]
    if (!oldest.length) return false
    // The id is the idempotency key: what was published already, and not deleted, is not published again.
    const outcomes = await this.#gateway.batch(
      oldest.map(({ member, id, channel, body }) => {
        const content = { data: JSON.parse(body), idempotency_key: id }
        return channel ? { publish: { channel, ...content } } : { push: { user: member, ...content } }
      }),
    )
    const done = oldest.filter((_, index) => outcomes[index].ok)
    await this.#database.transaction(Date.now() + DEADLINE_MS, async (query) => {
      for (const { id } of done) await query('DELETE FROM outbox WHERE id = ?', [id])
    })
    const failed = outcomes.find(({ error }) => error)
    if (failed) throw new Error(failed.error.detail ?? failed.error.code)
    return true
  }
}
