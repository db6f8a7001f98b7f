# One word per thing a person does here. Everything starts what it needs on random ports and stops it again.
SHELL := /bin/bash

.PHONY: setup test lint demo bench chaos cluster-tools python-peers e2e cluster cluster-down clean

setup: ## Node packages, a Postgres and a nats-server, where they are missing
	@.ci/setup

# Rung 1 (API server, etcd) is a part of the tests. What cannot be built in this time goes on in the next run.
TOOLS_BUDGET ?= 600

test: setup ## lint, types, build, every test; first the API server and etcd, where Go is there
	@node_modules/.bin/node e2e/cluster/tools/build.ts --rung 1 --budget $(TOOLS_BUDGET) || \
	  echo "SKIP tests with an API server: see above; \`make cluster-tools\` builds it without a limit"
	npm run -s verify

lint: setup ## format, lint rules and types only
	npm run -s lint
	npm run -s typecheck

demo: setup ## three replicas of an unmodified agent behaving as one (KEEP=1 leaves them running)
	npx turbo run build --filter=durable-agent-sidecar
	@npm run -s demo -w e2e

chaos: setup ## random faults under load (RUNS=200 REPLICAS=2 JOBS=2; SEED=… AGENT=… plays one run again)
	npx turbo run build --filter=durable-agent-sidecar
	@RUNS=$(RUNS) REPLICAS=$(REPLICAS) JOBS=$(JOBS) SEED=$(SEED) AGENT=$(AGENT) npm run -s chaos -w e2e

bench: setup ## the sidecar beside its peers and its floors
	npx turbo run build --filter=durable-agent-sidecar
	@npm run -s bench -w e2e

cluster-tools: setup ## Kubernetes' own programs, built once with Go into a cache outside the checkout
	@node_modules/.bin/node e2e/cluster/tools/build.ts $(if $(RUNG),--rung $(RUNG)) $(if $(BUDGET),--budget $(BUDGET))

python-peers: setup ## agents and clients on the published Python SDKs, built once with pip into a cache outside the checkout
	@node_modules/.bin/node e2e/python/build.ts

e2e: setup ## the scenarios on a real cluster of plain processes (Linux, root; needs cluster-tools)
	npx turbo run build
	@npm run -s cluster -w e2e

cluster: setup ## a cluster of plain processes with the images, Postgres, NATS and an agent, to type the README's commands at
	npx turbo run build
	@node_modules/.bin/node e2e/cluster/main.ts playground

cluster-down: ## ends it
	@node_modules/.bin/node e2e/cluster/main.ts down

clean: ## what builds and tests leave
	rm -rf .turbo */.turbo */dist */test-results.json sidecar/src/generated .cache
