/** A gateway in memory: sessions, channels as logs, calls. Just enough of the protocol, and none of its limits. */

interface Cursor {
  epoch: string;
  offset: number;
  at?: number;
}
interface Entry {
  offset: number;
  at: number;
  data: unknown;
  tags?: { [name: string]: string } | undefined;
}
interface Session {
  id: string;
  ticket: string;
  end: GatewayEnd | undefined;
  cursors: Map<string, number>;
  requestsSeen: number;
  /** Requests up to here are settled, and ignored. */
  seen: number;
  replies: Map<number, object>;
}
// Read as whatever came: the tests check it.
type Packet = { [verb: string]: never } & { id?: number };

/** The gateway's end of a wire. */
export interface GatewayEnd {
  send(text: string): void;
  close(code: number, reason: string): void;
}

export class FakeGateway {
  /** Every packet that came, in order. */
  readonly received: { [verb: string]: unknown }[] = [];
  /** What calls were executed. */
  readonly executed: unknown[] = [];
  /** Refuses every hello with this `bye`. */
  refusal: object | undefined;
  /** Whose sessions these are: one user's, with a channel of its own; none: guests. */
  user: string | undefined;
  /** How long a login is good; none: for ever. */
  authLifeMs: number | undefined;
  /** The channels to which every login subscribes. */
  subs: string[] = [];
  /** What the next requests to subscribe are refused with, one each. */
  readonly refusedSubscribes: object[] = [];
  /** Which life of its logs this is. */
  epoch = 'k1';
  /** What is no longer kept of a channel: up to this offset. */
  readonly trimmed = new Map<string, number>();
  /** How far its apps have handled each channel. */
  readonly acked = new Map<string, number>();
  /** Of a gateway of an earlier version, which has lost its book: does not say where ids go on. */
  saysNoRequestsSeen = false;
  /** What may be called: each answers what it was given. */
  readonly methods = new Set(['echo']);
  /** Methods with an answer of their own. */
  readonly answers = new Map<string, (data: never) => unknown>();
  /** Swallows requests of these verbs. */
  readonly deaf = new Set<string>();
  private readonly logs = new Map<string, Entry[]>();
  private readonly sessions: Session[] = [];
  private opened = 0;

  /** The bodies of all packets with this verb. */
  all(verb: string): unknown[] {
    return this.received.filter((packet) => verb in packet).map((packet) => packet[verb]);
  }

  /** Appends to a channel, as a back end would. */
  publish(channel: string, data: unknown, now: number, tags?: Entry['tags']): Entry {
    const log = this.log(channel);
    const entry = { offset: log.length + 1, at: now, data, tags };
    log.push(entry);
    for (const session of this.sessions) this.pump(session, channel);
    return entry;
  }

  /** The gateway begins anew, with other logs and without any session. */
  replaceLogs(epoch: string): void {
    this.epoch = epoch;
    this.logs.clear();
    this.sessions.length = 0;
  }

  /** Says a packet to every open connection. */
  tell(packet: object): void {
    for (const session of this.sessions) if (session.end) say(session.end, packet);
  }

  /** Ends every open connection with a `bye`. */
  bye(body: object, closeCode: number): void {
    for (const session of this.sessions) {
      if (session.end) say(session.end, { bye: body });
      session.end?.close(closeCode, '');
      session.end = undefined;
    }
  }

  /** As after a restart: no ticket is known any more. */
  forget(): void {
    this.sessions.length = 0;
  }

  /** The other end of a connection is gone. */
  lost(end: GatewayEnd): void {
    for (const session of this.sessions) if (session.end === end) session.end = undefined;
  }

  receive(end: GatewayEnd, text: string, now: number): void {
    for (const line of text.split('\n').filter((one) => one.trim() !== '')) {
      const packet = JSON.parse(line) as Packet;
      this.received.push(packet);
      this.handle(end, packet, now);
    }
  }

  private handle(end: GatewayEnd, packet: Packet, now: number): void {
    const session = this.sessions.find((one) => one.end === end);
    if (session && 'seen' in packet) session.seen = Math.max(session.seen, packet.seen);
    if ('hello' in packet) this.hello(end, packet.hello, now);
    else if (!session) return;
    else if ('ping' in packet) {
      const { acks = {} } = packet.ping as { acks?: { [channel: string]: Cursor } };
      for (const [channel, { offset }] of Object.entries(acks)) {
        // As the gateway does: only what is subscribed, and was sent.
        if (offset <= (session.cursors.get(channel) ?? -1))
          this.acked.set(channel, Math.max(offset, this.acked.get(channel) ?? 0));
      }
      say(end, { pong: { now } });
    } else if ('bye' in packet) this.sessions.splice(this.sessions.indexOf(session), 1);
    else if (packet.id !== undefined) this.request(session, packet, now);
  }

  private hello(
    end: GatewayEnd,
    hello: { resume?: { ticket: string; cursors: { [channel: string]: Cursor } } },
    now: number,
  ): void {
    if (this.refusal) {
      say(end, { bye: this.refusal });
      return end.close(4102, '');
    }
    const known = hello.resume && this.sessions.find((session) => session.ticket === hello.resume!.ticket);
    const session = known ?? this.newSession();
    session.end = end;
    session.cursors = new Map();
    const channels: { [channel: string]: object } = {};
    const own =
      this.user === undefined
        ? []
        : [[`user:${this.user}`, { offset: this.acked.get(`user:${this.user}`) ?? 0 }] as [string, Cursor]];
    const named = Object.entries(hello.resume?.cursors ?? {});
    const subs = this.subs.filter((channel) => !named.some(([name]) => name === channel));
    const begun = subs.map((channel) => [
      channel,
      { offset: this.acked.get(channel) ?? this.log(channel).length },
    ]);
    for (const [channel, cursor] of [...own, ...(begun as [string, Cursor][]), ...named]) {
      session.cursors.set(channel, cursor.offset);
      channels[channel] = this.stand(channel, cursor.offset);
    }
    say(end, {
      welcome: {
        session: session.id,
        ticket: session.ticket,
        ticket_expires_at: now + 86_400_000,
        resumed: known !== undefined,
        user: this.user,
        auth_expires_at: this.authLifeMs && now + this.authLifeMs,
        requests_seen: this.saysNoRequestsSeen ? undefined : session.requestsSeen,
        ping_ms: 25_000,
        pong_ms: 8_000,
        park_ms: 120_000,
        max_message_bytes: 65_536,
        now,
        node: 'n1',
        channels,
        subs: this.subs,
      },
    });
    for (const channel of session.cursors.keys()) this.pump(session, channel);
  }

  private request(session: Session, packet: Packet, now: number): void {
    const id = packet.id!;
    if (id <= session.seen || [...this.deaf].some((verb) => verb in packet)) return;
    const reply = session.replies.get(id) ?? this.execute(session, packet, now);
    session.requestsSeen = Math.max(session.requestsSeen, id);
    session.replies.set(id, reply);
    if (session.end) say(session.end, { id, ...reply });
    if ('subscribe' in packet && !('error' in reply)) {
      const { channel, from } = packet.subscribe as { channel: string; from?: unknown };
      const trimmed = this.trimmed.get(channel) ?? 0;
      const after = typeof from === 'object' ? (from as Cursor).offset : trimmed;
      if (after < trimmed && session.end)
        say(session.end, {
          gap: { channel, reason: 'retention', after, cursor: { epoch: this.epoch, offset: trimmed } },
        });
      if (typeof from === 'object' && (from as Cursor).epoch !== this.epoch && session.end)
        say(session.end, {
          gap: { channel, reason: 'new_epoch', after, cursor: { epoch: this.epoch, offset: 0 } },
        });
      this.pump(session, channel);
    }
  }

  private execute(session: Session, packet: { [verb: string]: unknown }, now: number): object {
    if (packet.subscribe) {
      const { channel, from } = packet.subscribe as {
        channel: string;
        from?: 'now' | 'start' | 'acked' | Cursor;
      };
      const refusal = this.refusedSubscribes.shift();
      if (refusal) return { error: refusal };
      if (channel.startsWith('user:') && channel !== `user:${this.user}`)
        return { error: { code: 'permission_denied', message: '' } };
      const after =
        typeof from === 'object'
          ? from.offset
          : from === 'start'
            ? 0
            : from === 'acked'
              ? (this.acked.get(channel) ?? 0)
              : this.log(channel).length;
      const known = typeof from !== 'object' || from.epoch === this.epoch ? after : 0;
      const kept = Math.max(known, this.trimmed.get(channel) ?? 0);
      session.cursors.set(channel, kept);
      return { ok: this.stand(channel, kept) };
    }
    if (packet.unsubscribe) {
      session.cursors.delete((packet.unsubscribe as { channel: string }).channel);
      return { ok: {} };
    }
    if (packet.publish) {
      const { channel, data, echo } = packet.publish as { channel: string; data: unknown; echo?: boolean };
      const tags = echo === false ? { $exclude: session.id } : undefined;
      const { offset, at } = this.publish(channel, data, now, tags);
      return { ok: { epoch: this.epoch, offset, at } };
    }
    if (packet.call) {
      const { method, data } = packet.call as { method: string; data: unknown };
      this.executed.push(data);
      const answer = this.answers.get(method);
      if (answer) return { ok: { data: answer(data as never) } };
      if (!this.methods.has(method)) return { error: { code: 'not_found', message: `no method ${method}` } };
      return { ok: { data } };
    }
    if (packet.history) {
      const { channel } = packet.history as { channel: string };
      return { ok: { epoch: this.epoch, publications: this.log(channel), more: false } };
    }
    if (packet.auth)
      return { ok: { expires_at: now + (this.authLifeMs ?? 86_400_000), ticket: session.ticket } };
    if (packet.presence) return { ok: { members: [], count: 0 } };
    return { error: { code: 'unknown_verb', message: '' } };
  }

  private stand(channel: string, after: number): object {
    const log = this.log(channel);
    return {
      epoch: this.epoch,
      offset: log.length,
      at: log[log.length - 1]?.at ?? 0,
      recovering: log.length - after,
    };
  }

  private pump(session: Session, channel: string): void {
    const after = session.cursors.get(channel);
    if (after === undefined || !session.end) return;
    for (const entry of this.log(channel).slice(after)) say(session.end, { pub: { channel, ...entry } });
    session.cursors.set(channel, this.log(channel).length);
  }

  private newSession(): Session {
    const ticket = `ticket-${this.sessions.length + 1}`;
    const session = {
      id: `s${++this.opened}`,
      ticket,
      end: undefined,
      cursors: new Map(),
      requestsSeen: 0,
      seen: 0,
      replies: new Map(),
    };
    this.sessions.push(session);
    return session;
  }

  private log(channel: string): Entry[] {
    let log = this.logs.get(channel);
    if (!log) this.logs.set(channel, (log = []));
    return log;
  }
}

function say(end: GatewayEnd, packet: object): void {
  end.send(JSON.stringify(packet) + '\n');
}
