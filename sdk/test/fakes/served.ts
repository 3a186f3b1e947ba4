/**
 * Joins the sockets of a scripted mini program to a gateway, on the world's clock; and does to them what hosts do.
 */

import type { Host } from '../../src/host.js';
import { decode, encode } from '../../src/msgpack.js';
import { FakeGateway, type GatewayEnd } from './gateway.js';
import type { FakeTask, FakeWechat } from './wechat.js';
import { World } from './world.js';

const LATENCY_MS = 10;

/** A mini program with a network. */
export class Served {
  readonly world = new World();
  readonly gateway = new FakeGateway();
  /** False: a connect is never answered, in any way. */
  answers = true;
  /** False: no close is ever told to a task. */
  tellsCloses = true;
  /** Sockets that the host allows; those that are closing count. */
  slotsMax = Infinity;
  /** Sockets that hold a slot. */
  readonly held = new Set<FakeTask>();

  constructor(readonly wx: FakeWechat) {
    wx.onDial = (task) => this.dialled(task);
  }

  /** The host under test, on the world's clock. */
  host(make: (api: FakeWechat) => Host): Host {
    return { ...make(this.wx), now: this.world.now, setTimer: this.world.setTimer };
  }

  /** The host kills every socket of an app in the background. */
  kill(): void {
    for (const task of this.held) this.cut(task);
  }

  /** From hide on the host refuses to send and to close, and after five seconds it kills what is left. */
  hide(): void {
    this.refuses('SocketTask:fail interrupted');
    this.wx.emit('AppHide');
    this.unhide = this.world.setTimer(5_000, () => this.kill());
  }
  show(): void {
    this.unhide();
    this.refuses(undefined);
    this.wx.emit('AppShow');
  }
  private unhide = (): void => {};
  private refuses(words: string | undefined): void {
    for (const task of this.wx.tasks) task.failsWith = words;
  }

  /** Nothing arrives any more, in either direction, and nobody is told. */
  cut(task: FakeTask): void {
    this.held.delete(task);
    task.onSend = task.onClosing = undefined;
  }

  private dialled(task: FakeTask): void {
    const { gateway, world } = this;
    const later = (act: () => void) => world.setTimer(LATENCY_MS, () => this.held.has(task) && act());
    if (this.held.size >= this.slotsMax) {
      const errMsg = 'createSocketTask:fail wcwss taskID=9 exceed max concurrent count';
      world.setTimer(0, () => task.connect.fail?.({ errMsg }));
      return;
    }
    this.held.add(task);
    // A client that speaks msgpack is spoken to in it.
    let binary = false;
    const end: GatewayEnd = {
      send: (text) => later(() => (binary ? task.receivesBytes(encode(text)) : task.receives(text))),
      close: (code, reason) => later(() => this.closed(task, code, reason)),
    };
    task.onSend = (data) => {
      binary = typeof data !== 'string';
      later(() => gateway.receive(end, binary ? decode(data as ArrayBuffer) : (data as string), world.now()));
    };
    task.onClosing = () => {
      gateway.lost(end);
      later(() => this.closed(task, 1000, 'normal closure'));
    };
    if (this.answers) later(() => task.opens());
  }

  private closed(task: FakeTask, code: number, reason: string): void {
    this.held.delete(task);
    if (this.tellsCloses) task.closesWith(code, reason);
  }
}
