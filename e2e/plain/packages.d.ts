/** Types of a package that has none. */

declare module 'websocket-heartbeat-miniprogram' {
  interface Heartbeat {
    onOpen: () => void;
    onMessage: (event: { data: string }) => void;
    send(message: { data: string }): void;
    close(options: object): void;
  }
  export default function heartbeat(options: object): Promise<Heartbeat>;
}
