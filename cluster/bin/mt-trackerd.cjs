#!/usr/bin/env node
'use strict';
require('../../codec/bin/run-program.cjs')('mt-trackerd', 'dist/cluster/main.js');
