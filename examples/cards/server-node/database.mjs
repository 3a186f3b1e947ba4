// SQLite, PostgreSQL and MySQL or MariaDB behind one interface, chosen by the URL.

import { readFile, readdir, rm } from 'node:fs/promises'
import { Pool, Unavailable } from './pool.mjs'

/** How often a transaction that met another one is tried again, and how often migrations are while the database starts. */
const TRIES = 3
const MIGRATION_TRIES = 20
const MIGRATION_DEADLINE_MS = 10_000

/** A number, a member or a key that is there already. Where nobody asks for it, two requests have met: one is repeated. */
export class Duplicate extends Unavailable {
  name = 'Duplicate'
}

export class Database {
  #pool
  #begin
  #tableOptions

  /** `sqlite:shop.db`, `postgres://…` or `mysql://…`. */
  static async open(url, limits) {
    const kind = url.slice(0, url.indexOf(':'))
    const driver = await drivers[kind](url)
    const database = new Database()
    database.#pool = new Pool(driver.open, { ...limits, ...driver.limits })
    database.#begin = driver.begin ?? 'BEGIN'
    database.#tableOptions = driver.tableOptions ?? ''
    await database.#migrate()
    return database
  }

  /** Runs `act(query)` in a transaction, which is committed when it returns and taken back when it throws. */
  async transaction(deadline, act) {
    for (let tried = 1; ; tried++) {
      try {
        return await this.#once(deadline, act)
      } catch (error) {
        if (!error.isConflict) throw error
        if (tried === TRIES) throw new Unavailable('other transactions are first again and again', { cause: error })
      }
    }
  }

  async #once(deadline, act) {
    let refusal
    const result = await this.#pool.use(deadline, async (connection) => {
      await connection.query(this.#begin)
      try {
        const done = await act(connection.query)
        await connection.query('COMMIT')
        return done
      } catch (error) {
        // Where the database answers, the connection is good for the next one.
        await connection.query('ROLLBACK')
        refusal = error
      }
    })
    if (refusal) throw refusal
    return result
  }

  close() {
    this.#pool.close()
  }

  /** Runs the files of `migrations/` that this database has not seen. */
  async #migrate() {
    const folder = new URL('../migrations/', import.meta.url)
    const files = (await readdir(folder)).filter((name) => name.endsWith('.sql')).sort()
    for (let tried = 1; ; tried++) {
      try {
        await this.transaction(Date.now() + MIGRATION_DEADLINE_MS, async (query) => {
          await query(`CREATE TABLE IF NOT EXISTS migrations (name VARCHAR(64) NOT NULL PRIMARY KEY)${this.#tableOptions}`)
          const seen = new Set((await query('SELECT name FROM migrations')).rows.map(({ name }) => name))
          for (const name of files.filter((name) => !seen.has(name))) {
            const text = (await readFile(new URL(name, folder), 'utf8')).replace(/--.*$/gm, '')
            for (const statement of text.split(';').filter((it) => it.trim()))
              await query(/^\s*CREATE TABLE/.test(statement) ? statement + this.#tableOptions : statement)
            await query('INSERT INTO migrations (name) VALUES (?)', [name])
          }
        })
        return
      } catch (error) {
        if (tried === MIGRATION_TRIES) throw error
        console.error(`database is not ready, trying again: ${error.message}`)
        await new Promise((resolve) => setTimeout(resolve, 500))
      }
    }
  }
}

/** How each kind opens a connection: `query(sql, values)` gives `rows` and how many were `changed`. */
const drivers = {
  async sqlite(url) {
    const { Database: Sqlite } = (await import('node-sqlite3-wasm')).default
    const path = url.slice('sqlite:'.length)
    // The lock of a process that was killed. One process a file.
    await rm(`${path}.lock`, { recursive: true, force: true })
    const sqlite = new Sqlite(path)
    sqlite.exec('PRAGMA synchronous = FULL')
    const query = async (sql, values = []) => {
      try {
        if (/^\s*SELECT/i.test(sql)) return { rows: sqlite.all(sql, values), changed: 0 }
        return { rows: [], changed: Number(sqlite.run(sql, values).changes) }
      } catch (error) {
        throw /UNIQUE/.test(error.message) ? new Duplicate(error.message) : new Unavailable(error.message, { cause: error })
      }
    }
    const destroy = () => sqlite.inTransaction && sqlite.exec('ROLLBACK')
    return { open: async () => ({ query, destroy }), begin: 'BEGIN IMMEDIATE', limits: { connections: 1 } }
  },

  async postgres(url) {
    const { Client, types } = (await import('pg')).default
    types.setTypeParser(types.builtins.INT8, Number)
    const open = async () => {
      const client = new Client({ connectionString: url, keepAlive: true, connectionTimeoutMillis: 5_000 })
      const destroy = () => {
        client.connection.stream.destroy()
        client.end().catch(() => undefined)
      }
      const connection = { destroy, query: undefined }
      client.on('error', () => (connection.isBroken = true))
      connection.query = async (sql, values = []) => {
        let number = 0
        const text = sql.replace(/\?/g, () => `$${++number}`)
        const { rows, rowCount } = await client.query(text, values).catch((error) => thrown(error, error.code))
        return { rows, changed: rowCount ?? 0 }
      }
      await client.connect().catch((error) => thrown(error))
      return connection
    }
    return { open }
  },

  async mysql(url) {
    const { createConnection } = await import('mysql2/promise')
    const open = async () => {
      const client = await createConnection({ uri: url, connectTimeout: 5_000 }).catch((error) => thrown(error))
      const connection = { destroy: () => client.destroy(), query: undefined }
      client.on('error', () => (connection.isBroken = true))
      connection.query = async (sql, values = []) => {
        const [answer] = await client.query(sql, values).catch((error) => thrown(error, String(error.errno)))
        return Array.isArray(answer) ? { rows: answer, changed: 0 } : { rows: [], changed: answer.affectedRows }
      }
      return connection
    }
    // Keys are compared with case, as the others do.
    return { open, tableOptions: ' CHARACTER SET utf8mb4 COLLATE utf8mb4_bin' }
  },
}

/** Says what is to be done about an error of a driver. */
function thrown(error, code) {
  if (code === '23505' || code === '1062') throw new Duplicate(error.message)
  // Two transactions have waited for each other, and this one has given way.
  if (code === '40P01' || code === '40001' || code === '1213') throw Object.assign(error, { isConflict: true })
  throw new Unavailable(error.message, { cause: error })
}
