/** Any JSON. */
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json }

/** Where a publication is in its log. */
export interface Published {
  epoch: string
  offset: number
  /** When it was appended, in milliseconds since 1970. */
  at: number
}

export interface PublishOptions {
  /** Labels that travel with the publication. */
  tags?: { [name: string]: Json }
  /** Makes repeating harmless. @default a random one */
  idempotencyKey?: string
  /** Publishes only behind this head of the log; otherwise a `Problem` with `conflict` and the present `head`. */
  expect?: { epoch: string; offset: number }
}

interface Content {
  data: Json
  tags?: { [name: string]: Json }
  idempotency_key?: string
  expect?: { epoch: string; offset: number }
}

/** One publication of a batch. */
export type Entry = { publish: Content & { channel: string } } | { push: Content & { user: string } }

/** What came of one entry. */
export type Outcome = { ok: Published } | { error: { code: string; detail: string; field?: string } }

/** Which part of a log: its newest publications, its oldest ones, or those behind or before a place. */
export type Span = 'newest' | 'oldest' | { after: { epoch: string; offset: number } } | { before: { epoch: string; offset: number } }

/** A page of a log, in the order of offsets. */
export interface HistoryPage {
  epoch: string
  /** The last offset of the log; 0 before the first. */
  head: number
  publications: { offset: number; at: number; data: Json; from?: Json; tags?: { [name: string]: Json } }[]
  /** There is more in the direction that was read. */
  more: boolean
}

/** The sessions that an operation is about. */
export type Target = { user: string } | { session: string } | { label: { name: string; value: string } }

export interface SessionQuery {
  user?: string
  /** A label of the login: its name, a colon and its value. */
  label?: string
  address?: string
  platform?: string
  /** `name/version`, or `name` for all versions. */
  sdk?: string
  node?: string
  is_connected?: boolean
  /** The `next` of the page before. */
  after?: string
  /** @default 100 */
  limit?: number
}

export interface SessionInfo {
  session: string
  user?: string
  labels?: { [name: string]: string }
  address?: string
  platform?: string
  sdk?: string
  node: string
  opened_at: number
  is_connected: boolean
  connected_at?: number
  away_at?: number
  channels: number
}

export interface SessionPage {
  sessions: SessionInfo[]
  next?: string
}

export type Revocation =
  | { session: string }
  | { user: string; issued_before?: number; until?: number }
  | { token: string; until?: number }

export interface ServerOptions {
  /** Where the gateway is, like `http://127.0.0.1:8000`. */
  url: string
  key: string
  /** How long a request may take. @default 10_000 */
  timeoutMs?: number
}

/** A refused request: RFC 9457. */
export class Problem extends Error {
  readonly code: string
  readonly status: number
  /** A JSON pointer to the member at fault. */
  readonly field?: string
  readonly retryAfterMs?: number
  readonly head?: { epoch: string; offset: number }
}

/** A thin client of Tautline's server API. */
export class TautlineServer {
  constructor(options: ServerOptions)
  /** Publishes to a channel; repeats where the outcome is unknown. */
  publish(channel: string, data: Json, options?: PublishOptions): Promise<Published>
  /** Publishes to a user's inbox; repeats where the outcome is unknown. */
  push(user: string, data: Json, options?: PublishOptions): Promise<Published>
  /** Publishes up to 1,000 entries; the outcomes are in their order. */
  batch(entries: Entry[]): Promise<Outcome[]>
  /** Reads the log of a channel, also of an inbox (`user:<id>`). */
  history(channel: string, part?: { span?: Span; limit?: number }): Promise<HistoryPage>
  sessions(query: SessionQuery): Promise<SessionPage>
  /** Ends sessions, and gives how many. */
  kick(target: Target, message?: string): Promise<number>
  /** Closes connections, and gives of how many sessions. */
  disconnect(target: Target): Promise<number>
  /** Makes logins void, and gives how many sessions ended. */
  revoke(logins: Revocation): Promise<number>
}
