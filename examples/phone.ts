/** A phone with WeChat: runs a mini program's files as they are, on the scripted host and clock of the SDK's tests. */

import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Served } from '../sdk/test/fakes/served.ts';
import { FakeWechat } from '../sdk/test/fakes/wechat.ts';
import type { Host } from '../sdk/src/host.ts';
import { Tautline, wechatHost } from '../sdk/src/index.ts';
import { debugRing } from '../sdk/src/debug.ts';
import * as page from '../sdk/src/page.ts';
import { subscribeWithState } from '../sdk/src/with-state.ts';
import { storage } from '../sdk/src/storage.ts';
import * as words from '../sdk/src/entries/words.ts';

type Definition = Record<string, unknown> & { data?: Record<string, unknown> };
type Hook = ((argument?: unknown) => unknown) | undefined;

/** A page that is open. */
export interface OpenPage {
  data: Record<string, any>;
  call(handler: string, dataset?: object): void;
}

export class Phone {
  /** In place of what `config.js` says. */
  config: object = {};
  /** How often `wx.login` fails from now on. */
  loginFails = 0;
  /** The codes that `wx.login` has given. */
  readonly codes: string[] = [];
  /** What `wx.requestSubscribeMessage` answers for a template. */
  consent = 'accept';
  readonly wx = new FakeWechat();
  readonly served = new Served(this.wx);
  /** What the device keeps, also when the app is destroyed. */
  readonly kept = new Map<string, unknown>();
  readonly toasts: string[] = [];
  readonly went: string[] = [];
  /** What plain HTTP answers, by path. */
  readonly answers: Record<string, unknown> = {};
  private logins = 0;
  private life = { isOver: false };
  private app: Definition = {};
  private pages: OpenPage[] = [];
  private modules = new Map<string, object>();

  /** `folder` is where `app.json` is. */
  constructor(private readonly folder: string) {
    Object.assign(this.wx, {
      getAppBaseInfo: () => ({ language: 'en' }),
      getStorageSync: (key: string) => structuredClone(this.kept.get(key)) ?? '',
      setStorageSync: (key: string, value: unknown) => this.kept.set(key, structuredClone(value)),
      removeStorageSync: (key: string) => this.kept.delete(key),
      getStorageInfoSync: () => ({ keys: [...this.kept.keys()] }),
      login: ({ success, fail }: { success(it: object): void; fail(it: object): void }) => {
        this.logins++;
        if (this.loginFails-- > 0) return fail({ errMsg: 'login:fail timeout' });
        this.codes.push(`code-${this.logins}`);
        success({ code: this.codes.at(-1) });
      },
      requestSubscribeMessage: ({ tmplIds, success }: { tmplIds: string[]; success(it: object): void }) =>
        success(Object.fromEntries(tmplIds.map((template) => [template, this.consent]))),
      reLaunch: ({ url }: { url: string }) => this.went.push(url),
      showToast: ({ title }: { title: string }) => this.toasts.push(title),
      navigateTo: ({ url }: { url: string }) => this.went.push(url),
      navigateBack: () => this.went.push('back'),
      setClipboardData: () => undefined,
      request: ({ url, success }: { url: string; success(answer: object): void }) => {
        const data = this.answers[new URL(url).pathname];
        success({ statusCode: data === undefined ? 404 : 200, data });
      },
    });
  }

  /** Starts the app: its files are read and run anew. */
  launch(): void {
    this.life = { isOver: false };
    this.modules = new Map();
    this.pages = [];
    this.run('app.js');
    (this.app['onLaunch'] as Hook)?.call(this.app);
  }

  /** The host destroys the app: nothing of it runs any more. */
  destroy(): void {
    this.life.isOver = true;
    this.served.kill();
  }

  /** Opens a page. */
  open(path: string, query: object = {}): OpenPage {
    this.run(`${path}.js`);
    const shown = this.pages[this.pages.length - 1]!;
    shown.call('onLoad', query);
    shown.call('onShow');
    return shown;
  }

  private run(file: string): object {
    const path = join(this.folder, file);
    const known = this.modules.get(path);
    // A page is made anew whenever it is opened.
    if (known && !file.startsWith('pages/')) return known;
    const module = { exports: {} };
    this.modules.set(path, module.exports);
    const { life } = this;
    const scope = {
      module,
      exports: module.exports,
      require: (name: string) => this.required(name, dirname(file)),
      wx: this.wx,
      App: (definition: Definition) => (this.app = definition),
      Page: (definition: Definition) => this.pages.push(opened(definition)),
      getApp: () => this.app,
      setTimeout: (act: (...given: unknown[]) => void, ms: number, ...given: unknown[]) =>
        this.served.world.setTimer(ms, () => this.life === life && act(...given)),
      setInterval: () => 0,
      clearInterval: () => undefined,
    };
    new Function(...Object.keys(scope), readFileSync(path, 'utf8'))(...Object.values(scope));
    this.modules.set(path, module.exports);
    return module.exports;
  }

  private required(name: string, from: string): object {
    const on = this.host(this.life);
    const lines = function (options: object) {
      return new Tautline({ ...options, host: on } as never);
    };
    const packages: Record<string, object> = {
      'tautline/wechat': { Tautline: lines, wechatHost: () => on },
      'tautline/storage': { storage: (options: object) => storage({ ...options, device: this.device } as never) },
      'tautline/page': page,
      'tautline/with-state': { subscribeWithState },
      'tautline/debug': { debugRing },
      'tautline/words': words,
    };
    const module = packages[name] ?? this.run(join(from, `${name}.js`));
    return name.endsWith('/config') ? { ...module, ...this.config } : module;
  }

  /** The host as this life of the app sees it: after its end, nothing fires any more. */
  private host(life: { isOver: boolean }): Host {
    const host = this.served.host(wechatHost as never);
    const unlessOver =
      <T>(act: (it: T) => void) =>
      (it: T) =>
        life.isOver ? undefined : act(it);
    return {
      ...host,
      setTimer: (ms, fire) => host.setTimer(ms, unlessOver<void>(fire)),
      watch: (tell) => host.watch(unlessOver(tell)),
      dial: (url, protocol, socket, tell) => host.dial(url, protocol, socket, unlessOver(tell)),
    };
  }

  private readonly device = {
    get: (key: string) => this.kept.get(key) as string | undefined,
    set: (key: string, text: string) => void this.kept.set(key, text),
    remove: (key: string) => void this.kept.delete(key),
  };
}

function opened(definition: Definition): OpenPage {
  const data = structuredClone(definition.data ?? {}) as Record<string, any>;
  const instance: Definition = { ...definition, data };
  instance['setData'] = (change: Record<string, unknown>) => {
    for (const [key, value] of Object.entries(change)) {
      const path = key.split(/[.[\]]+/).filter(Boolean);
      const last = path.pop()!;
      path.reduce((at, part) => at[part] as Record<string, any>, data)[last] = structuredClone(value);
    }
  };
  const call = (handler: string, argument?: object) => {
    const event = handler.startsWith('on') && !/^on(Load|Show|Hide|Unload)$/.test(handler);
    const given = event ? { currentTarget: { dataset: argument ?? {} }, detail: argument } : argument;
    (instance[handler] as Hook)?.call(instance, given);
  };
  return { data, call };
}
