import type { Command } from 'commander';
import {
  apiCommand,
  connect,
  listCommand,
  pageQuery,
  printList,
  printRecord,
  segment,
  type ApiOptions,
  type ListOptions,
} from './api-command.js';
import { readDocument } from './document-file.js';
import { printJson, type Column } from '../output.js';

/** A kind of document that two people change; `example` is the name of one. */
export interface DocumentKind {
  /** Of the API, with the leading slash. */
  path: string;
  noun: string;
  plural: string;
  example: { shown: string; changed: string };
  columns: readonly Column[];
}

/** List and show; every kind has its own `set` besides. */
export function addDocumentReading(parent: Command, { path, noun, plural, example, columns }: DocumentKind): void {
  const command = parent.name();
  listCommand(parent, `List ${plural}`, `${command} list`).action(async (options: ListOptions) => {
    const client = await connect(options);
    printList(await client.get(path, pageQuery(options)), columns, options);
  });
  apiCommand(parent, 'show <name>', `Show a ${noun}`, `${command} show ${example.shown}`).action(
    async (name: string, options: ApiOptions) => {
      const client = await connect(options);
      printRecord(await client.get(`${path}/${segment(name)}`), options);
    },
  );
}

/** Import, export and withdraw. */
export function addDocumentChanges(parent: Command, { path, noun, example: { shown, changed } }: DocumentKind): void {
  const command = parent.name();
  apiCommand(
    parent,
    'import <name> <file>',
    `Propose a ${noun} from a JSON file`,
    `${command} import ${changed} ${changed}.json`,
  ).action(async (name: string, file: string, options: ApiOptions) => {
    const client = await connect(options);
    printRecord(await client.put(`${path}/${segment(name)}`, await readDocument(file)), options);
  });
  apiCommand(parent, 'export <name>', `Print a ${noun} as JSON`, `${command} export ${shown} > ${shown}.json`).action(
    async (name: string, options: ApiOptions) => {
      const client = await connect(options);
      printJson(await client.get(`${path}/${segment(name)}`));
    },
  );
  apiCommand(parent, 'withdraw <name>', `Propose that a ${noun} is withdrawn`, `${command} withdraw ${changed}`).action(
    async (name: string, options: ApiOptions) => {
      const client = await connect(options);
      printRecord(await client.delete(`${path}/${segment(name)}`), options);
    },
  );
}
