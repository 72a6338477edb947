import { existsSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { apps, importsOf, libs, mayImport, read, ROOT, sourcesOf } from './layers.js';

const PURE = ['kernel', 'pki', 'est', 'credential', 'policy'];

test('every lib stands in a layer, and the folder is not empty', () => {
  expect(libs().length).toBeGreaterThanOrEqual(11);
  for (const lib of libs())
    expect({ lib, sources: sourcesOf(`libs/${lib}/src`).length > 0 && mayImport(lib).length >= 0 }).toEqual({
      lib,
      sources: true,
    });
});

describe.each(libs())('libs/%s', (lib) => {
  const files = sourcesOf(`libs/${lib}/src`);

  test('imports only libs below it, by their name alone', () => {
    const wrong = files.flatMap((file) =>
      importsOf(file)
        .filter((specifier) => specifier.startsWith('#'))
        .filter((specifier) => !mayImport(lib).includes(specifier.slice(1)))
        .map((specifier) => `${file}: ${specifier}`),
    );
    expect(wrong).toEqual([]);
  });

  test('leaves its folder by no relative path, and never imports its own index', () => {
    const wrong = files.flatMap((file) =>
      importsOf(file)
        .filter((specifier) => specifier.startsWith('.'))
        .filter((specifier) => {
          const target = path.normalize(path.join(path.dirname(file), specifier));
          return !target.startsWith(`libs/${lib}/src/`) || target === `libs/${lib}/src/index.js`;
        })
        .map((specifier) => `${file}: ${specifier}`),
    );
    expect(wrong).toEqual([]);
  });

  test('refers in its tsconfig only to libs below it: the compiler enforces the same', () => {
    const { references } = JSON.parse(read(`libs/${lib}/tsconfig.json`)) as { references: { path: string }[] };
    const names = references.map((one) => path.basename(one.path));
    expect(names.filter((name) => !mayImport(lib).includes(name))).toEqual([]);
  });

  test('has no package.json, which would cut it off from "#" imports, and a README of at most 60 lines', () => {
    expect(existsSync(path.join(ROOT, `libs/${lib}/package.json`))).toBe(false);
    expect(read(`libs/${lib}/README.md`).trimEnd().split('\n').length).toBeLessThanOrEqual(60);
  });
});

describe.each(apps())('apps/%s', (app) => {
  test('reaches into no lib and no other app but by name', () => {
    const wrong = sourcesOf(`apps/${app}/src`).flatMap((file) =>
      importsOf(file)
        .filter((specifier) => {
          if (specifier.startsWith('#')) return !/^#(apps\/)?[a-z]+$/.test(specifier);
          if (!specifier.startsWith('.')) return false;
          return !path.normalize(path.join(path.dirname(file), specifier)).startsWith(`apps/${app}/`);
        })
        .map((specifier) => `${file}: ${specifier}`),
    );
    expect(wrong).toEqual([]);
  });
});

describe('third parties', () => {
  const offenders = (pattern: RegExp, except: (file: string) => boolean): string[] =>
    [...libs().map((lib) => `libs/${lib}/src`), ...apps().map((app) => `apps/${app}/src`)]
      .flatMap(sourcesOf)
      .filter((file) => !except(file) && importsOf(file).some((specifier) => pattern.test(specifier)));

  test('the database driver is known to store, to what starts the server, and to the queue', () => {
    const known = [
      'libs/store/',
      'apps/touchmark/src/embedded-postgres',
      'apps/touchmark/src/postgres/',
      'apps/worker/src/queue-backend.ts',
    ];
    expect(offenders(/^(pg|pg-cursor|typeorm)$/, (file) => known.some((start) => file.startsWith(start)))).toEqual([]);
  });

  test('web framework and queue are known to apps only', () => {
    expect(offenders(/^(@nestjs\/|fastify|bullmq|@fastify\/)/, (file) => file.startsWith('apps/'))).toEqual([]);
  });

  test('pure libs open no file, socket or database', () => {
    const impure = /^(node:(fs|net|tls|http|https|child_process|worker_threads|dgram|dns)|pg|typeorm|pino)/;
    const files = PURE.map((lib) => `libs/${lib}/src`).flatMap(sourcesOf);
    const wrong = files.flatMap((file) =>
      importsOf(file)
        .filter((one) => impure.test(one))
        .map((one) => `${file}: ${one}`),
    );
    // isIP and its like look at a text, not at a network. The list of weak keys is part of the program, too large for a source.
    const known = ['libs/pki/src/debian-keys.ts: node:fs'];
    expect(wrong.filter((one) => !one.endsWith('node:net'))).toEqual(known);
  });
});

test('no source imports an optional package by name: the build would fail where it could not be installed', () => {
  const { optionalDependencies = {} } = JSON.parse(read('package.json')) as {
    optionalDependencies?: Record<string, string>;
  };
  const optional = Object.keys(optionalDependencies);
  const sources = [...libs().map((lib) => `libs/${lib}/src`), ...apps().map((app) => `apps/${app}/src`)];
  const importing = sources
    .flatMap((folder) => sourcesOf(folder))
    .filter((file) => importsOf(file).some((specifier) => optional.includes(specifier)));
  expect(optional).toContain('pkcs11js');
  expect(importing).toEqual([]);
});
