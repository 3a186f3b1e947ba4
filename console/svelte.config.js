// Svelte with runes everywhere.

export default { compilerOptions: { runes: true } };
