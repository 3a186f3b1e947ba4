// PostgreSQL and MariaDB as Debian packages them, each a process of the test with a folder and a port of its own. Whoever runs
// the test as root starts them as another user.

import { execFile, spawn } from 'node:child_process'
import { chownSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { until } from './shop.mjs'

const CONNECT_MS = 5_000
const PREPARE_MS = 60_000
/** How long a database may take to stop before it is killed. */
const STOP_MS = 5_000
/** Open to every user, which the folder of `os.tmpdir()` may not be. */
const TEMPORARY = '/tmp'
const PASSWORD = 'of-the-tests'

/** The user of databases that must not be root. */
function otherUser() {
  if (process.getuid() !== 0) return {}
  const lines = readFileSync('/etc/passwd', 'utf8').split('\n')
  const line = lines.find((it) => it.startsWith('postgres:')) ?? lines.find((it) => it.startsWith('nobody:')) ?? ''
  const [, , uid, gid] = line.split(':')
  return { uid: Number(uid), gid: Number(gid) }
}

function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })
}

/** The newest version that is installed. */
function postgresFolder() {
  const versions = existsSync('/usr/lib/postgresql') ? readdirSync('/usr/lib/postgresql') : []
  const newest = versions.sort((one, other) => Number(other) - Number(one))[0]
  return newest ? `/usr/lib/postgresql/${newest}/bin` : '/usr/bin'
}

class Database {
  child

  constructor(test, folder) {
    this.folder = folder
    this.user = otherUser()
    this.data = mkdtempSync(join(TEMPORARY, 'cards-db-'))
    if (this.user.uid !== undefined) chownSync(this.data, this.user.uid, this.user.gid)
    test.after(async () => {
      await this.stop()
      rmSync(this.data, { recursive: true, force: true, maxRetries: 5 })
    })
  }

  /** Beside the tests that run at the same time: it does not block their timers. */
  async run(program, args) {
    await promisify(execFile)(join(this.folder, program), args, { ...this.user, cwd: this.data, timeout: PREPARE_MS })
  }

  /** Starts it, and resolves when it answers. */
  async start() {
    const [program, ...args] = this.command()
    this.child = spawn(join(this.folder, program), args, { ...this.user, cwd: this.data, stdio: 'ignore' })
    // One that cannot be started does not answer.
    this.child.on('error', (error) => console.error(error.message))
    await until(() => this.answers(), `${program} answers`, 60_000)
  }

  async stop() {
    const { child } = this
    if (!child?.pid || child.exitCode !== null || child.signalCode !== null) return
    const ended = new Promise((resolve) => child.on('exit', resolve))
    this.thaw()
    child.kill(this.stopSignal)
    const fallback = setTimeout(() => this.signal('SIGKILL'), STOP_MS)
    await ended
    clearTimeout(fallback)
  }

  /** Every process of it stands still, or goes on. */
  freeze() {
    this.signal('SIGSTOP')
  }
  thaw() {
    this.signal('SIGCONT')
  }

  signal(name) {
    for (const pid of this.processes()) {
      try {
        process.kill(pid, name)
      } catch (error) {
        // It has ended in between.
        if (error.code !== 'ESRCH') throw error
      }
    }
  }

  processes() {
    const { pid } = this.child
    const children = readdirSync('/proc').filter((name) => {
      try {
        return /^\d+$/.test(name) && Number(/\nPPid:\t(\d+)/.exec(readFileSync(`/proc/${name}/status`, 'utf8'))?.[1]) === pid
      } catch {
        return false
      }
    })
    return [pid, ...children.map(Number)]
  }

  async answers() {
    try {
      const client = await this.client()
      await client.end()
      return true
    } catch {
      return false
    }
  }
}

class Postgres extends Database {
  /** Fast: without waiting for its clients. */
  stopSignal = 'SIGINT'

  constructor(test, port) {
    super(test, postgresFolder())
    this.port = port
    this.url = `postgres://cards:${PASSWORD}@127.0.0.1:${port}/postgres`
  }

  prepare() {
    return this.run('initdb', ['-D', this.data, '-U', 'cards', '--auth=trust', '--no-sync', '-E', 'UTF8', '--locale=C'])
  }

  command() {
    const options = ['listen_addresses=127.0.0.1', 'unix_socket_directories=', 'fsync=off', 'shared_buffers=16MB', 'max_connections=60']
    return ['postgres', '-D', this.data, '-p', String(this.port), ...options.flatMap((option) => ['-c', option])]
  }

  async client() {
    const { Client } = (await import('pg')).default
    const client = new Client({ connectionString: this.url, connectionTimeoutMillis: CONNECT_MS })
    client.on('error', () => undefined)
    await client.connect()
    return client
  }

  /** How many connections it has ended. */
  async killConnections() {
    const client = await this.client()
    const { rowCount } = await client.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'",
    )
    await client.end()
    return rowCount
  }
}

class MariaDb extends Database {
  stopSignal = 'SIGTERM'

  constructor(test, port) {
    super(test, '/usr/sbin')
    this.port = port
    this.url = `mysql://cards:${PASSWORD}@127.0.0.1:${port}/cards`
  }

  prepare() {
    const init = ['--no-defaults', `--datadir=${this.data}`, '--auth-root-authentication-method=normal', '--skip-test-db']
    return this.run('../bin/mariadb-install-db', [...init, '--innodb-log-file-size=8M'])
  }

  command() {
    const options = ['--bind-address=127.0.0.1', `--socket=${join(this.data, 's')}`, `--pid-file=${join(this.data, 'pid')}`]
    const small = ['--innodb-buffer-pool-size=16M', '--innodb-log-file-size=8M', '--innodb-flush-log-at-trx-commit=0', '--skip-name-resolve']
    return ['mariadbd', '--no-defaults', `--datadir=${this.data}`, `--port=${this.port}`, ...options, ...small]
  }

  async start() {
    await super.start()
    const client = await this.client()
    await client.query('CREATE DATABASE IF NOT EXISTS cards')
    await client.query(`CREATE OR REPLACE USER cards@'%' IDENTIFIED BY '${PASSWORD}'`)
    await client.query("GRANT ALL ON cards.* TO cards@'%'")
    await client.end()
  }

  async client() {
    const { createConnection } = await import('mysql2/promise')
    return createConnection({ socketPath: join(this.data, 's'), user: 'root', connectTimeout: CONNECT_MS })
  }

  async killConnections() {
    const client = await this.client()
    const [rows] = await client.query("SELECT id FROM information_schema.processlist WHERE user = 'cards'")
    for (const { id } of rows) await client.query(`KILL ${id}`).catch(() => undefined)
    await client.end()
    return rows.length
  }
}

/** The database of this name, started. */
export async function startDatabase(test, name) {
  const database = new { postgres: Postgres, mariadb: MariaDb }[name](test, await freePort())
  await database.prepare()
  await database.start()
  return database
}
