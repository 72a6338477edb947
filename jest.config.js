/** Everything that needs nothing but Node: unit, integration on embedded Postgres, end to end over TLS. */
export const shared = {
  testEnvironment: 'node',
  testEnvironmentOptions: { customExportConditions: ['source', 'node', 'node-addons'] },
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      {
        jsc: {
          target: 'es2024',
          parser: { syntax: 'typescript', decorators: true },
          transform: { legacyDecorator: true, decoratorMetadata: true },
          keepClassNames: true,
        },
        module: { type: 'es6' },
      },
    ],
  },
  modulePathIgnorePatterns: ['<rootDir>/dist/', '<rootDir>/var/'],
  globalSetup: '<rootDir>/test/harness/before-all.mjs',
  globalTeardown: '<rootDir>/test/harness/after-all.mjs',
};

export default {
  ...shared,
  testMatch: ['<rootDir>/libs/**/*.spec.ts', '<rootDir>/apps/**/*.spec.ts', '<rootDir>/test/**/*.spec.ts'],
  testPathIgnorePatterns: ['/node_modules/', '<rootDir>/test/interop/', '<rootDir>/test/long/'],
  testTimeout: 60_000,
  testSequencer: '<rootDir>/test/harness/sequencer.mjs',
  // Of three, one waits: for time limits, restarts and what is published.
  maxWorkers: 3,
  // A worker keeps what the modules of each file took.
  workerIdleMemoryLimit: '1.5GB',
};
