/** One history, from its seed: phones, their apps, the faults injected into them, and at the end what was promised, held against the truth. */

import { Life, type ServerConfig, type Memory, type Sdk } from './app.js';
import { Phone } from './phone.js';
import { Random } from './random.js';
import type { Server, Truth } from './server.js';
import { World } from './world.js';

/** Longer than any back-off, dial and wait that may be under way. */
const CALM_MS = 200_000;

interface Owner {
  phone: Phone;
  life: Life;
  user: string | undefined;
  stores: boolean;
  options: object;
}

/** Runs it; what it gives has `faults` where a promise was broken. */
export async function runHistory(seed: number, server: Server, sdk: Sdk): Promise<World> {
  const chance = (probability: number, of: World): boolean => of.random.chance(probability);
  const trims = seed % 3 === 2;
  const config: ServerConfig = {
    park_ms: seed % 2 ? 5000 : 120_000,
    disk: seed % 4 < 2,
    keep: trims ? 5 : 10_000,
    trims,
  };
  const world = new World(seed, server, {
    ...config,
    batch_bytes_max: seed % 5 ? 65_536 : 500,
    tail_entries_max: seed % 7 ? 256 : 2,
  });
  const { random } = world;
  // The seed of a session is drawn from it.
  const chances = new Random(seed + 1);
  Math.random = () => chances.next();
  const memory: Memory = { asks: [], calls: [], listeners: [], handled: new Map(), actions: 150 };
  const owners = Array.from({ length: random.between(1, 3) }, (_, number): Owner => {
    const stores = chance(0.6, world);
    const options = {
      store_ms: random.pick([0, 1000]),
      report_ms: random.pick([100, 5000]),
      outbox_count_max: random.pick([4, 1000]),
      outbox_full: random.pick(['reject', 'drop_oldest_volatile']),
      hello_bytes_max: random.pick([262_144, 16_384 + 100, 16_384 + 300]),
      idle_ms: random.pick([0, 0, 3000]),
    };
    const phone = new Phone(world, `phone ${number}`, random.between(1, 2), chance(0.7, world));
    const user = chance(0.7, world) ? `u${number}` : undefined;
    return {
      phone,
      user,
      stores,
      options,
      life: new Life(sdk, phone, config, memory, user, options, stores),
    };
  });
  owners.forEach(({ life }) => begin(life));

  function begin(life: Life): void {
    for (let i = random.below(4); i >= 0; i--) life.act();
    if (life.user) life.subscribe(`user:${life.user}`, random.pick([undefined, 'acked']));
    life.line.connect();
  }
  function launch(owner: Owner): void {
    world.tell(`${owner.phone.name}: the app is destroyed, and begins again`);
    owner.phone.kill();
    const { phone, user, options, stores } = owner;
    owner.life = new Life(sdk, phone, config, memory, user, options, stores);
    begin(owner.life);
  }
  function attempt(act: () => void): void {
    try {
      act();
    } catch (error) {
      if ((error as Error).message !== 'of the app') throw error;
    }
  }
  function injectFault(owner: Owner): void {
    const { phone } = owner;
    switch (random.below(16)) {
      case 0:
      case 1:
        return phone.cut();
      case 2:
        for (const link of phone.links) link.cut();
        return;
      case 3:
        phone.dialBehavior = random.pick(['refusing', 'dead', 'clear']);
        return phone.cut();
      case 4:
        return phone.network(chance(0.5, world), random.pick(['wifi', '4g', 'none']), chance(0.3, world));
      case 5:
      case 6:
        return phone.hidden ? phone.show() : phone.hide();
      case 7:
        phone.wallOffMs += random.pick([-3_600_000, -500, 500, 90_000]);
        return;
      case 8:
        phone.full = !phone.full && chance(0.5, world);
        return;
      case 9:
        // In the middle of something, and nothing is said of it until the user comes back.
        phone.writesLeft = random.between(1, 4);
        return;
      case 10:
        return launch(owner);
      case 11:
        if (chance(0.3, world)) world.killServer();
        return;
      case 12:
        world.order({ do: 'drain', spread_ms: 500 });
        world.in(random.between(0, 8000), () => world.order({ do: 'reopen' }));
        return;
      default:
        return phone.heal();
    }
  }

  for (let step = 0; step < 40; step++) {
    await world.advance(random.pick([0, 50, 500, 3000, 9000]));
    const owner = random.pick(owners);
    if (owner.phone.isDying || (owner.life.closed && chance(0.3, world))) launch(owner);
    if (chance(0.4, world)) injectFault(owner);
    if (owner.user && chance(0.3, world))
      world.order({ do: 'push', channel: `user:${owner.user}`, payload: `push${step}` });
    if (chance(0.2, world)) world.order({ do: 'push', channel: 'room:1', payload: `push${step}` });
    if (chance(0.5, world) && !owner.phone.frozen && owner.life.runs) attempt(() => owner.life.act());
  }

  world.calm = true;
  world.tell('from here on nothing is strange');
  world.order({ do: 'reopen' });
  for (const owner of owners) {
    if (owner.phone.isDying) launch(owner);
    owner.phone.heal();
    owner.phone.writesLeft = Infinity;
  }
  await world.advance(CALM_MS);
  const truth = world.truth();
  await judge(world, config, memory, owners, truth);
  return world;
}

async function judge(
  world: World,
  config: ServerConfig,
  memory: Memory,
  owners: Owner[],
  truth: Truth,
): Promise<void> {
  const logOf = (channel: string, epoch: string): string[] =>
    truth.logs.find((log) => log.channel === channel && log.epoch === epoch)?.payloads ?? [];

  for (const it of memory.listeners) {
    for (const { epoch, offset, payload } of it.heard) {
      const wrote = logOf(it.channel, epoch)[offset - 1];
      if (wrote !== payload) it.fault(`was handed ${payload} as ${offset} of ${epoch}, which is ${wrote}`);
    }
    for (const { reason, after } of it.gaps) {
      const excused = (reason === 'retention' && config.trims) || (reason === 'new_epoch' && !config.disk);
      if (!excused) it.fault(`a gap for ${reason} after ${after}, and nothing is missing`);
    }
  }
  const lives = owners.map(({ life }) => life).filter(({ closed }) => !closed);
  for (const life of lives) {
    const { state } = life.line;
    for (const it of life.live) {
      const [{ head, epoch } = { head: 0, epoch: '' }] = world.truth([
        { channel: it.channel, user: 'nobody' },
      ]).acked;
      // A line that reads nothing but the user's own channel may hang up.
      if (state === 'idle' && life.live.every(({ channel }) => channel.startsWith('user:'))) continue;
      if (state !== 'online' || it.place?.offset !== head || (head > 0 && it.place.epoch !== epoch)) {
        it.fault(`is ${state} and stands at ${JSON.stringify(it.place)}, and the log at ${head} of ${epoch}`);
      }
    }
  }
  judgeAsks(world, memory, truth);

  // Whoever leaves says first what it has handled: also what came just now.
  for (const { user } of lives)
    if (user) world.order({ do: 'push', channel: `user:${user}`, payload: `last of ${user}` });
  await world.advance(100);
  const users = [
    ...new Set(lives.filter(({ user, line }) => user && line.state === 'online').map(({ user }) => user!)),
  ];
  lives.forEach((life) => life.close());
  await world.advance(10_000);
  const places = world.truth(users.map((user) => ({ channel: `user:${user}`, user }))).acked;
  users.forEach((user, index) => {
    const { epoch, place } = places[index]!;
    const life = lives.find((it) => it.user === user)!;
    const here = life.handled.get(`user:${user} ${epoch}`) ?? 0;
    const ever = memory.handled.get(`${user} user:${user} ${epoch}`) ?? 0;
    const acked = place?.epoch === epoch ? place.offset : 0;
    if (acked < here || acked > ever)
      world.fault(
        `${user} has handled ${ever} of ${epoch}, ${here} of it in this life, and acknowledged ${acked}`,
      );
  });
  for (const ask of memory.asks) {
    if (!ask.ok && !ask.error && ask.life.closed && owners.some(({ life }) => life === ask.life))
      world.fault(`${ask.payload} is never settled`);
  }
}

function judgeAsks(world: World, memory: Memory, truth: Truth): void {
  const counts = new Map<string, number>();
  for (const { channel, epoch, payloads } of truth.logs) {
    const here = new Set<string>();
    payloads.forEach((payload) => {
      if (here.has(payload)) world.fault(`${payload} is in ${channel} of ${epoch} twice`);
      here.add(payload);
      counts.set(payload, (counts.get(payload) ?? 0) + 1);
    });
  }
  const last = new Map<string, number>();
  for (const { channel, payload, life, idempotent, ok, error } of memory.asks) {
    const count = counts.get(payload) ?? 0;
    if (count > 1 && !idempotent) world.fault(`${payload} was published ${count} times`);
    if (/^(expired|overflow|too_large)$/.test(error ?? '') && count > 0)
      world.fault(`${payload} is ${error}, and was published`);
    if (!ok) continue;
    const log = truth.logs.find((it) => it.channel === channel && it.epoch === ok.epoch);
    if (log?.payloads[ok.offset - 1] !== payload)
      world.fault(`${payload} is not at ${ok.offset} of ${ok.epoch}`);
    const key = `${life.name} ${channel} ${ok.epoch}`;
    if (ok.offset <= (last.get(key) ?? 0))
      world.fault(`${payload} was published before what was asked for first`);
    last.set(key, ok.offset);
  }
  for (const { payload, idempotent } of memory.calls) {
    const count = truth.executed[payload] ?? 0;
    if (count > 1 && !idempotent) world.fault(`${payload} was executed ${count} times`);
  }
}
