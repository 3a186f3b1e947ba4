/** Ports of a shop. */
export interface Ports {
  backEnd: number;
  gateway: number;
  wechat: number;
}

/** A program that can be killed, and started again with the same data. */
export interface Program {
  start(): Promise<string>;
  end(signal?: NodeJS.Signals): Promise<void>;
  crash(): Promise<void>;
}

export interface RunningShop {
  /** The page. */
  url: string;
  wechatUrl: string;
  gatewayUrl: string;
  secrets: Record<string, string>;
  wechat: Program;
  backEnd: Program;
  gateway: Program;
  stop(): Promise<void>;
}

export interface ShopOptions {
  /** The gateway's binary. */
  tautline: string;
  /** The folder of all data. */
  data: string;
  ports?: Ports;
  /** What starts the back end. @default the one in Node */
  server?: string[];
  /** Where pages connect. @default the gateway itself */
  socket?: string;
  /** @default SQLite in `data` */
  database?: string;
  /** Variables for the gateway, such as `TAUTLINE__LIMITS__PING_MS`. */
  options?: Record<string, string>;
  log?: string;
  page?: string;
}

export function freePorts(): Promise<Ports>;
export function startShop(options: ShopOptions): Promise<RunningShop>;
