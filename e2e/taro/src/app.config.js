/** One page, and nothing else. */

export default { pages: ['pages/index/index'] };
