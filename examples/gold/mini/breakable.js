// A `wx` whose sockets can be broken by hand, for the lab: everything else is the real one's.

/**
 * @param {any} real
 */
function breakable(real) {
  /** @type {any[]} */
  let tasks = [];
  let isMute = false;

  /** @param {any} options */
  function connectSocket(options) {
    const task = real.connectSocket(options);
    if (!task) return task;
    /** @type {(close: { code: number, reason: string }) => void} */
    let closed = () => undefined;
    const shown = {
      /** @param {any} how */
      send(how) {
        // Half-open: what is sent goes nowhere, and the host says that all is well.
        if (!isMute) return task.send(how);
        if (how.success) how.success({});
        if (how.complete) how.complete({});
      },
      /** @param {any} how */
      close: (how) => task.close(how),
      /** @param {() => void} listener */
      onOpen: (listener) => task.onOpen(listener),
      /** @param {(message: any) => void} listener */
      onMessage: (listener) => task.onMessage((/** @type {any} */ message) => isMute || listener(message)),
      /** @param {(error: any) => void} listener */
      onError: (listener) => task.onError(listener),
      /** @param {(close: any) => void} listener */
      onClose(listener) {
        closed = listener;
        task.onClose((/** @type {any} */ close) => {
          tasks = tasks.filter((it) => it.shown !== shown);
          listener(close);
        });
      },
      get readyState() {
        return task.readyState;
      },
    };
    tasks.push({ shown, cut: () => (task.close({}), closed({ code: 1006, reason: 'cut in the lab' })) });
    return shown;
  }

  // What is not about sockets stays the host's own.
  const api = Object.create(real);
  api.connectSocket = connectSocket;
  return {
    api,
    cut() {
      const open = tasks;
      tasks = [];
      open.forEach((it) => it.cut());
    },
    /** @param {boolean} mute */
    mute(mute) {
      isMute = mute;
    },
  };
}

module.exports = { breakable };
