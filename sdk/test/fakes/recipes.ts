/**
 * The code in our guides, and a place to run it in: a host, a gateway, and a stub for whatever a guide leaves to the app.
 */

import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { transformSync } from 'esbuild';
import { createElement } from 'react';
import { effectScope } from 'vue';
import {
  Tautline,
  TautlineError,
  type LineEvents,
  type Subscription,
  type SubscriptionHandlers,
  type TautlineOptions,
} from '../../src/index.js';
import { decode, encode } from '../../src/msgpack.js';
import { WebsocketHeartbeat } from '../../src/heartbeat-compat/heartbeat.js';
import type { GatewayEnd } from './gateway.js';
import { World } from './world.js';

// It has no typings of its own.
const { act, create } = require('react-test-renderer') as {
  act(work: () => void | Promise<void>): Promise<void>;
  create(element: object): { unmount(): void };
};
const Vue2 = require('vue-2.6') as (new (options: object) => { $destroy(): void }) & {
  config: { productionTip: boolean };
};
Vue2.config.productionTip = false;
Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true });

/** From `build/node/test/fakes`. */
const REPOSITORY = resolve(__dirname, '../../../../..');
const OF_SDK = [
  'README',
  'docs/migration',
  'docs/local-development',
  'docs/blocked-websockets',
  'docs/big-numbers',
].map((name) => `sdk/${name}`);

/** Where something is published for whoever listens. */
const CHANNELS = ['news', 'room:7', 'match:42', 'user:u42', 'orders', 'tasks'];

/** One piece of code in a guide. */
export interface Recipe {
  /** File and line. */
  where: string;
  language: string;
  code: string;
}

/** All code of an app in our guides, in both languages. */
export function recipes(): Recipe[] {
  const files = ['README', ...OF_SDK].flatMap((name) => [`${name}.md`, `${name}.zh-CN.md`]);
  return files.flatMap((file) => {
    const text = readFileSync(resolve(REPOSITORY, file), 'utf8');
    const blocks = [...text.matchAll(/^```(js|jsx|ts|tsx|vue|html)\n([^]*?)^```$/gm)];
    return blocks.map(({ 1: language, 2: code, index }) => {
      return {
        where: `${file}:${text.slice(0, index).split('\n').length}`,
        language: language!,
        code: code!,
      };
    });
  });
}

/** A world in which a recipe runs, and what it has put on its lines. */
export class Kitchen {
  readonly world = new World();
  /** How many handlers and listeners are on. */
  listeners = 0;
  /** What was published, with how often a handler of the recipe's was given it. */
  readonly heard = new Map<string, number>();
  readonly errors: unknown[] = [];
  /** What a recipe has passed on to the app's `handle`. */
  readonly handled: unknown[] = [];
  private readonly setup = effectScope(true);
  private readonly strangers = new Set<GatewayEnd>();
  private rendered: { unmount(): void } | undefined;
  private component: { $destroy(): void } | undefined;

  constructor() {
    const { gateway, dial } = this.world;
    this.world.dial = (url, protocol, socket, tell) => {
      if (protocol !== 'tautline.v1.msgpack') return dial(url, protocol, socket, tell);
      const wire = dial(url, protocol, socket, (fact) =>
        tell(fact.type === 'socket_message' ? { ...fact, data: encode(fact.text) } : fact),
      );
      return { ...wire, send: (data) => wire.send(decode(data as ArrayBuffer)) };
    };
    const receive = gateway.receive.bind(gateway);
    gateway.user = 'u42';
    gateway.subs = ['tasks'];
    gateway.methods.add('bindCard');
    // On a socket without sessions the server is the app's own.
    gateway.receive = (end, text, now) => {
      if (!/^[^{]|"type"/.test(text)) return receive(end, text, now);
      this.strangers.add(end);
      end.send(text);
    };
  }

  /** Every connection is cut; the last message of each kind of server comes when the line is back. */
  async cut(name: string): Promise<void> {
    const { world } = this;
    const publish = (when: string) =>
      CHANNELS.forEach((channel) => world.gateway.publish(channel, { name, when }, world.now()));
    this.strangers.clear();
    for (const wire of world.wires.filter(({ open }) => open)) {
      wire.dead = true;
      wire.closed(1006, '');
    }
    publish('missed');
    await this.advance(20_000);
    publish('back');
    this.strangers.forEach((end) => end.send(name));
    await this.advance(1_000);
  }

  /** Runs a recipe, and mounts the page or the component that it makes. */
  async run({ language, code }: Recipe): Promise<void> {
    const exports: { default?: (() => null) | object } = {};
    const line = this.line({ url: 'ws://a.example/connect' });
    const app: object = { line };
    const pages: object[] = [];
    const wx = {
      login: ({ success }: Callback) => success({ code: 'c1' }),
      request: ({ success }: Callback) => success({}),
      connectSocket: deaf,
    };
    const my = { getAuthCode: ({ success }: Callback) => success({ authCode: 'c1' }) };
    const kept = new Map<string, string>();
    const mmkv = {
      getString: (key: string) => kept.get(key),
      set: (key: string, text: string) => kept.set(key, text),
      delete: (key: string) => kept.delete(key),
    };
    const scope = {
      exports,
      wx,
      my,
      mmkv,
      line,
      Tautline: this.lines,
      url: 'ws://a.example/connect',
      auth: { guest: true },
      card: '6222',
      require: (name: string) => this.required(name, line),
      arrayBuffer: new ArrayBuffer(3),
      console: { log: ignore, warn: ignore },
      game: { apply: ignore },
      show: ignore,
      hide: ignore,
      save: ignore,
      toast: ignore,
      loadAfresh: ignore,
      reloadRoom: ignore,
      showHelp: ignore,
      connect: ignore,
      handle: (what: unknown) => this.handled.push(what),
      fetch: async () => ({ text: async () => 't1', json: async () => ({}) }),
      fetchToken: async () => 't1',
      getApp: () => app,
      App: (definition: object) => Object.assign(app, definition),
      Page: (definition: object) => pages.push({ setData: ignore, ...definition }),
    };
    const AsyncFunction = (async () => {}).constructor as new (
      ...args: string[]
    ) => (...args: unknown[]) => Promise<void>;
    const act = new AsyncFunction(...Object.keys(scope), `{${script(language, code)}}`);
    const done = this.setup
      .run(() => act(...Object.values(scope)))!
      .catch((error: unknown) => this.errors.push(error));
    const hook = (it: object, name: string) => (it as Record<string, () => void>)[name]?.call(it);
    hook(app, 'onLaunch');
    await this.advance(200);
    pages.forEach((it) => hook(it, 'onLoad'));
    const made = exports.default;
    if (typeof made === 'function') await this.render(made as () => null);
    else if (made) this.component = new Vue2(made);
    await this.advance(200);
    await done;
  }

  /** What the recipe has mounted is gone. */
  async end(): Promise<void> {
    this.setup.stop();
    this.component?.$destroy();
    await act(() => this.rendered?.unmount());
  }

  /** Lets time pass, with whatever is rendered meanwhile. */
  private advance(ms: number): Promise<void> {
    return act(() => this.world.advance(ms));
  }

  /** A line in this world, whose handlers and listeners are counted. */
  private readonly line = (options: TautlineOptions): Tautline => {
    const line = new Tautline({ ...options, host: this.world });
    const { subscribe, inbox, on } = line;
    line.on('error', (error) => this.errors.push(error));
    const counted = (handlers: SubscriptionHandlers<never>): SubscriptionHandlers => ({
      ...handlers,
      onPublication:
        handlers.onPublication &&
        ((publication) => {
          const { channel, offset } = publication;
          this.heard.set(`${channel}@${offset}`, (this.heard.get(`${channel}@${offset}`) ?? 0) + 1);
          handlers.onPublication?.(publication as never);
        }),
    });
    const until = (end: () => void): (() => void) => {
      this.listeners++;
      return () => {
        this.listeners--;
        end();
      };
    };
    return Object.assign(line, {
      subscribe: (channel: string, handlers: SubscriptionHandlers<never>): Subscription => {
        return { channel, unsubscribe: until(subscribe(channel, counted(handlers)).unsubscribe) };
      },
      inbox: (handlers: SubscriptionHandlers<never>) => ({
        unsubscribe: until(inbox(counted(handlers)).unsubscribe),
      }),
      on: <E extends keyof LineEvents>(event: E, handler: (value: LineEvents[E]) => void) =>
        until(on(event, handler)),
    });
  };

  private readonly lines = ((make) =>
    function (this: unknown, options: TautlineOptions) {
      return make(options);
    })(this.line);

  /** What `require` gives: every entry with a line has lines of this world. */
  private required(name: string, line: Tautline): unknown {
    if (/^(react|vue)$/.test(name)) return require(name);
    if (/^(@\/|\.\.\/)/.test(name)) return { line };
    if (name === '@tarojs/taro') return { default: {} };
    if (/^(react-native|@react-native-community\/netinfo|@dcloudio\/uni-app)$/.test(name))
      return { AppState: {}, default: {}, onShow: ignore, onHide: ignore };
    if (/^(json-bigint|lossless-json)$/.test(name))
      return { ...(require(name) as object), default: require(name) as unknown };
    if (name === '@tarojs/components') return { View: 'view' };
    if (name === 'tautline/heartbeat')
      return { default: (options: object) => WebsocketHeartbeat({ ...options, host: this.world } as never) };
    const beside =
      /^tautline\/(page|react|vue|vue2|json|msgpack|debug|words|storage|with-state|recall)$/.exec(name);
    if (beside)
      return require(`../../src/${/msgpack|words/.test(name) ? `entries/${beside[1]}` : beside[1]}.js`);
    const hosts = { frameworkHost: () => this.world, reactNativeHost: () => this.world };
    if (/^tautline(\/[\w-]+)?$|^\.\/tautline\.cjs\.js$/.test(name))
      return { Tautline: this.lines, TautlineError, ...hosts };
    throw new Error(`a recipe asks for ${name}`);
  }

  private async render(component: () => null): Promise<void> {
    await act(() => {
      this.rendered = create(createElement(component));
    });
  }
}

type Callback = { success(result: object): void };

function ignore(): void {}

/** A socket of another making, which never says anything. */
function deaf(): object {
  return { onMessage: ignore, onClose: ignore, send: ignore };
}

/** What is to be run of a recipe, as the body of an asynchronous function. */
function script(language: string, code: string): string {
  const [, part = code] = /<script(?: setup)?>\n([^]*?)<\/script>/.exec(code) ?? [];
  const loader = language === 'ts' || language === 'tsx' ? language : 'jsx';
  const { code: plain } = transformSync(part, { loader, jsxFactory: 'createElement', target: 'es2022' });
  const own = plain
    .replace(/^import (\w+) from (".*?");/gm, 'const { default: $1 } = require($2);')
    .replace(
      /^import \{(.*?)\} from (".*?");/gm,
      (_, names: string, from: string) => `const {${names.replace(/ as /g, ': ')}} = require(${from});`,
    )
    .replace(/^export default /gm, 'exports.default = ')
    .replace(/^export \{[^]*?\};?$/gm, '')
    .replace(/^export (?=const|function)/gm, '');
  return `const { createElement } = require('react');${own}`;
}
