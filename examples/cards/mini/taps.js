// Taps that change something. Each has a key by which the back end knows it, and is kept by the device until its outcome is
// known: a tap that is made again, also after the app was closed, is the same tap. The web page and the mini program share this.

/**
 * @typedef {object} Tap
 * @property {string} key
 * @property {string} method
 * @property {{ [name: string]: any }} data
 * @property {'sending' | 'waiting' | 'done' | 'refused'} state
 * @property {string} code why it waits or was refused
 *
 * What the device keeps, one item a tap: another tab or a line that ends does not undo what this one has kept.
 * @typedef {{ all(): Tap[], set(tap: Tap): void, remove(key: string): void }} Kept
 * @typedef {(method: string, data: object, how: object) => Promise<any>} Call
 */

/** These say nothing about the tap: it is made again, after the wait that the gateway asks for, or this one. */
var AGAIN = ['unavailable', 'overloaded', 'timeout', 'expired', 'in_doubt', 'rate_limited', 'internal', 'unauthorized'];
var AGAIN_MS = 1500;
/** Outcomes that are still shown. */
var SHOWN_MAX = 4;

/**
 * @param {Call} call of the line
 * @param {Kept} kept
 * @param {() => void} onChange
 */
function makeTaps(call, kept, onChange) {
  /** @type {Tap[]} */
  var taps = [];

  /** @param {Tap} tap */
  function send(tap) {
    tap.state = 'sending';
    call(tap.method, Object.assign({ key: tap.key }, tap.data), { idempotent: true }).then(
      function () {
        tap.state = 'done';
        tap.code = '';
        kept.remove(tap.key);
        var done = taps.filter(function (it) {
          return it.state === 'done';
        });
        var old = done.slice(0, Math.max(0, done.length - SHOWN_MAX));
        taps = taps.filter(function (it) {
          return old.indexOf(it) < 0;
        });
        onChange();
      },
      function (/** @type {any} */ error) {
        tap.code = error.code;
        // The line is no more, or another user's: whoever logs in next finds the tap with the device.
        if (error.code === 'closed' || error.code === 'user_changed') return;
        tap.state = AGAIN.indexOf(error.code) >= 0 ? 'waiting' : 'refused';
        if (tap.state === 'waiting') setTimeout(send, error.retryAfterMs || AGAIN_MS, tap);
        else kept.remove(tap.key);
        onChange();
      },
    );
  }
  /** @param {Tap} tap */
  function add(tap) {
    taps = taps.concat(tap);
    kept.set(tap);
    send(tap);
    onChange();
    return tap;
  }
  function list() {
    return taps;
  }
  /**
   * @param {string} method
   * @param {{ [name: string]: any }} data
   */
  function tap(method, data) {
    var key = Date.now().toString(36) + Math.random().toString(36).slice(2, 12);
    return add({ key: key, method: method, data: data, state: 'sending', code: '' });
  }
  /** @param {string} key of one that was refused, and that the person has seen */
  function dismiss(key) {
    taps = taps.filter(function (it) {
      return it.key !== key;
    });
    onChange();
  }
  // Keys begin with the time.
  kept
    .all()
    .sort(function (one, other) {
      return one.key < other.key ? -1 : 1;
    })
    .forEach(add);
  return { list: list, tap: tap, dismiss: dismiss };
}

module.exports = { makeTaps };
