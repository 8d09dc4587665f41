// The arguments that many commands take, each described once. `ignoreStdin`: oclif would read a missing argument from a pipe.
import * as Args from '@oclif/core/args';

const required = { required: true, ignoreStdin: true } as const;

export const groupArg = Args.string({ ...required, description: 'The group' });
export const userArg = Args.string({ ...required, description: 'The user' });
export const fileArg = Args.string({ ...required, description: "The file's name in the group" });
export const passwordArg = Args.string({
  ignoreStdin: true,
  description: 'Better left out: without it you are asked, and nothing is echoed or kept in the history of your shell',
});
