import { DocumentBuilder, SwaggerModule, type OpenAPIObject } from '@nestjs/swagger';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { z } from 'zod';
import { AuthorityError } from '#kernel';
import type { RouteAccess } from './access.js';
import { introspectionSchema } from './introspection.js';
import { PROBLEM_JSON } from './problem.js';

const METHODS = ['get', 'post', 'patch', 'put', 'delete'] as const;

const problemSchema = {
  type: 'object' as const,
  description: 'RFC 9457',
  required: ['type', 'title', 'status', 'detail', 'instance'],
  properties: {
    type: { type: 'string' as const, description: 'urn:touchmark:problem:<code>, stable' },
    title: { type: 'string' as const },
    status: { type: 'integer' as const },
    detail: { type: 'string' as const },
    instance: { type: 'string' as const, description: 'urn:touchmark:request:<id>' },
    member: { type: 'string' as const, description: 'the JSON member at fault' },
  },
};

/** What the route declares; `{id}` there is `:id` in the table. */
function accessOf(app: NestFastifyApplication, method: string, path: string): RouteAccess {
  const url = path.replaceAll(/\{([a-zA-Z]+)\}/g, ':$1');
  const table = app.getHttpAdapter().getInstance().routeTable;
  const route = table.find((one) => one.method === method.toUpperCase() && one.url === url);
  if (route === undefined) throw new AuthorityError('internal', `${method} ${path} is documented but not registered`);
  return route.access;
}

/** The document from the very schemas that requests are checked by and answers are written by. */
export function describeApi(app: NestFastifyApplication, serverUrl: string): OpenAPIObject {
  const config = new DocumentBuilder()
    .setOpenAPIVersion('3.1.0')
    .setTitle('Touchmark')
    .setDescription('Authority for app API keys and device certificates: management, introspection, audit.')
    .setVersion('1')
    .addServer(serverUrl)
    .addBearerAuth({ type: 'http', scheme: 'bearer', description: 'operator token' }, 'operator')
    .build();
  const document = SwaggerModule.createDocument(app, config);
  document.paths['/v1/introspect'] = introspectionPath();
  document.components = {
    ...document.components,
    schemas: { ...document.components?.schemas, Problem: problemSchema },
  };
  for (const [path, item] of Object.entries(document.paths)) {
    for (const method of METHODS) {
      const operation = item[method];
      if (operation === undefined) continue;
      operation.responses['default'] = {
        description: 'any error',
        content: { [PROBLEM_JSON]: { schema: { $ref: '#/components/schemas/Problem' } } },
      };
      const permission = accessOf(app, method, path);
      if (permission !== 'public') {
        operation.security = [{ operator: [] }];
        operation.description = [operation.description, `Needs the permission \`${permission}\`.`]
          .filter(Boolean)
          .join('\n\n');
      }
      // POSTs that create do so once per key.
      if (method === 'post' && permission !== 'public' && '201' in operation.responses)
        operation.parameters = [...(operation.parameters ?? []), idempotencyKey];
    }
  }
  return document;
}

const idempotencyKey = {
  name: 'Idempotency-Key',
  in: 'header' as const,
  required: false,
  description:
    '8 to 200 visible ASCII characters; a repetition gets the first answer (10 minutes where it holds a secret)',
  schema: { type: 'string' as const },
};

function introspectionPath(): OpenAPIObject['paths'][string] {
  const { $schema: _, ...schema } = z.toJSONSchema(introspectionSchema, { target: 'openapi-3.0' });
  return {
    post: {
      operationId: 'introspect',
      tags: ['Introspection'],
      summary: 'Whether an API key is good now (RFC 7662)',
      requestBody: {
        required: true,
        content: {
          'application/x-www-form-urlencoded': {
            schema: { type: 'object', required: ['token'], properties: { token: { type: 'string' } } },
          },
        },
      },
      responses: {
        200: { description: 'active or not', content: { 'application/json': { schema: schema as object } } },
      },
    },
  };
}
