/** What the server answers. Fields that a node does not know are absent. */

export type Scope = 'read' | 'act' | 'admin';

/** Whoever has signed in. */
export interface Account {
  name: string;
  scopes: Scope[];
  csrf: string;
  expires_at: number;
}

export interface Queue {
  bytes: number;
  max?: number;
}

export type Counts = Record<string, number>;

export interface Totals {
  publications?: number;
  deliveries?: number;
  calls?: number;
  rate_limited?: number;
  panics?: number;
  hellos?: Counts;
  gaps?: Counts;
  drops?: Counts;
  byes?: Counts;
  /** Offline times: how many were up to `le` and beyond the bound before; the last bucket has none. */
  offline_ms?: { le: number | null; n: number }[];
}

export interface Drain {
  left: number;
  total: number;
  deadline_ms?: number;
}

export interface Node {
  id: string;
  version?: string;
  uptime_ms?: number;
  ready?: boolean;
  draining?: Drain | null;
  connections?: number;
  sessions?: number;
  users_online?: number;
  channels?: number;
  subscriptions?: number;
  cpu_ms?: number;
  rss_bytes?: number;
  open_fds?: number;
  totals?: Totals;
  queues?: Record<string, Queue>;
  engine?: { kind: string; healthy?: boolean; detail?: Record<string, unknown> };
}

export interface Hook {
  name: string;
  kinds?: string[];
  url_host?: string;
  calls?: number;
  failures?: number;
  in_flight?: number;
  queued?: number;
  breaker?: 'closed' | 'open' | 'half_open';
  latency_ms?: { p50?: number; p99?: number };
  last_error?: string | null;
}

export interface Webhook {
  name: string;
  state: 'active' | 'retrying' | 'off';
  offset: number;
  lag: number;
  lag_ms: number;
  failures: number;
  retry_in_ms?: number;
  last_error?: string;
  expired: number;
  lost: number;
  waiting: number;
}

export interface LimitValue {
  name: string;
  value: number | string | boolean | null;
  used?: number | null;
}

export interface Overview {
  at: number;
  nodes: Node[];
  hooks?: Hook[];
  webhooks?: Webhook[];
  limits?: LimitValue[];
  bans?: number;
  revocations?: number;
}

export interface SessionInfo {
  session: string;
  user?: string;
  labels?: Record<string, string>;
  address?: string;
  platform?: string;
  sdk?: string;
  node: string;
  opened_at: number;
  is_connected: boolean;
  connected_at?: number;
  away_at?: number;
  channels: number;
}

export interface SessionPage {
  sessions: SessionInfo[];
  next?: string;
}

export interface StoryEntry {
  id: number;
  at: number;
  session?: string;
  kind: string;
  detail?: Record<string, unknown>;
  /** Entries before it that came too fast, and are not kept. */
  skipped?: number;
}

export interface StoryPage {
  entries: StoryEntry[];
  kept_since?: number;
  next?: number | null;
}

export interface Inbox {
  epoch: string;
  sent: number;
  at: number;
  kept: number;
  delivered: number;
  acknowledged: number;
  connections: number;
}

export interface UserStatus {
  user: string;
  state: 'online' | 'offline' | 'unknown';
  connections: number;
  last_seen?: number;
}

export interface Standing {
  channel: string;
  epoch: string;
  head: number;
  at: number;
  kept: number;
  subscribers: number;
  members?: number;
}

export interface Publication {
  offset: number;
  at: number;
  data: unknown;
  from?: unknown;
  tags?: Record<string, unknown>;
}

export interface HistoryPage {
  epoch: string;
  head: number;
  publications: Publication[];
  more: boolean;
}

export interface Member {
  user?: string;
  session: string;
  since: number;
  state: 'online' | 'away';
  info?: unknown;
}

export interface ChannelPresence {
  channel: string;
  has_presence: boolean;
  count: number;
  members: Member[];
}

export interface Ban {
  user?: string;
  address?: string;
  until?: number;
  reason?: string;
}

export interface AuditEntry {
  id: number;
  at: number;
  name: string;
  act: string;
  target?: string;
  reason?: string;
  outcome?: string;
}
