import { applyDecorators, HttpCode, SerializeOptions } from '@nestjs/common';
import { ApiOperation, ApiResponse } from '@nestjs/swagger';
import type { z } from 'zod';

/**
 * What a route does and answers. The schema is also what the answer is written by: a member that it does not name makes the
 * request fail instead of leaving.
 */
export function Answers(summary: string, schema: z.ZodType, status = 200): MethodDecorator {
  return applyDecorators(
    HttpCode(status),
    ApiOperation({ summary }),
    ApiResponse({ status, description: summary, standardSchema: schema }),
    SerializeOptions({ schema }),
  );
}
