/** `tautline/heartbeat`: a drop-in for `websocket-heartbeat-miniprogram`. */

export { WebsocketHeartbeat, WebsocketHeartbeat as default } from '../heartbeat-compat/heartbeat.js';
export * from '../heartbeat-compat/options.js';
export type { Host } from '../host.js';
