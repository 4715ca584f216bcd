# The front door: `make` lists the targets, `make rank` does everything.

PYTHON      ?= python3
PROFILE     ?= default
CONFIG      ?=
SEED        ?=
TEACHER     ?=
ASSISTANT   ?=
REPO        ?=
MODEL       ?= encoder
ENGINE      ?=
DRY_RUN     ?=
PRIVATE     ?=
DATA        ?=
ENCODER     ?=
ARTIFACTS   ?=
SEEDS       ?=
SYSTEMS     ?=
TORCH_INDEX ?=

# Not from the environment, where shells keep their own.
PROMPT :=

# A variable that nothing reads would change nothing, silently. What the environment holds is its own affair.
KNOWN   := PYTHON PROFILE CONFIG SEED TEACHER ASSISTANT PROMPT REPO MODEL ENGINE DRY_RUN PRIVATE DATA ARTIFACTS ENCODER SEEDS SYSTEMS TORCH_INDEX
given   := $(foreach name,$(.VARIABLES),$(if $(filter command,$(origin $(name))),$(name)))
unknown := $(firstword $(filter-out $(KNOWN) MAKEFLAGS SHELL,$(given)))
closest  = $(shell "$(PYTHON)" -c 'import difflib, sys; print(*difflib.get_close_matches(*sys.argv[1:2], sys.argv[2:], 1, 0))' '$(unknown)' $(KNOWN) 2>/dev/null)
ifneq ($(unknown),)
$(error unknown variable $(unknown)$(if $(closest),; did you mean $(closest),; there are $(KNOWN)))
endif

# DATA becomes part of commands and of paths; `shared/run/names.py` says the same to whoever calls those. Of a URI its
# last part does, and the signs of an address are its own.
uri   := $(if $(findstring ://,$(value DATA)),$(patsubst %/,%,$(value DATA)))
signs := " ' ` $$ ; & | < > \ * ? [ ] ( ) { } / ! ~ % , : =
bad   := $(strip $(foreach sign,$(if $(uri),$(filter-out / :,$(signs)),$(signs)),$(findstring $(sign),$(value DATA))) $(filter .% -%,$(firstword $(value DATA))))
ifneq ($(bad)$(word 2,$(value DATA)),)
$(error DATA is no plain name: give letters, digits and . _ + -, as in make rank DATA=mine)
endif
dataset := $(if $(uri),$(notdir $(uri)),$(DATA))

VENV   := .venv
RUN    := $(VENV)/bin/python
STAMP  := $(VENV)/installed
CHECKS := $(VENV)/checks
RIVALS := $(VENV)/rivals
RAY    := $(VENV)/ray
SITE   := $(VENV)/site
# All that `make rank` may ask for, whatever the teacher.
EXTRAS := train,endpoint,default-data,serve
# Modules are compiled when they are first imported: most never are.
INSTALL = $(RUN) -m pip install --disable-pip-version-check --no-compile $(if $(TORCH_INDEX),--extra-index-url "$(TORCH_INDEX)") -c constraints.txt

# CONFIG replaces the profile of the stage that was asked for; the stages before it keep theirs.
settings = $(if $(and $(CONFIG),$(filter $(1),$(MAKECMDGOALS))),--config "$(CONFIG)",--profile "$(PROFILE)")
flags    = $(call settings,$(1)) $(if $(SEED),--seed "$(SEED)")
where    = $(if $(ARTIFACTS),--artifacts "$(ARTIFACTS)")
engine   = $(if $(ENGINE),--engine "$(ENGINE)")
cluster  = $(if $(filter ray,$(ENGINE)),$(RAY))
home     = $(or $(ARTIFACTS),artifacts)
# DATA=listings is the profile's own shop as a marketplace, under a name of its own. Any other name is of tables that
# somebody else wrote: they are not built, and every stage reads them.
listings   := $(filter listings,$(DATA))
name_smoke := toy-listings
name_full  := listings-full
name       := $(if $(listings),$(or $(name_$(PROFILE)),listings),$(dataset))
named       = $(if $(name),--name "$(name)")$(if $(where), $(where))
foreign    := $(if $(DATA),$(if $(filter listings/% journey/default,$(DATA)/$(PROFILE)),,$(DATA)))
# An id that lives one week has no embedding worth learning.
ranked      = $(named) $(if $(listings),--no_item_id_embedding)

.DEFAULT_GOAL := help
.PHONY: help setup data tables distill rank demo publish test lint docs bench clean

help: ## list targets and variables
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  PROFILE=default     smoke (a minute), default (a sample) or full (all the data)"
	@echo "  CONFIG=file.yaml    settings for the stage asked for; what it leaves out is as in the default profile"
	@echo "  DATA=listings       the profile's data set as a marketplace: an item's id lives one week; text decides"
	@echo "  DATA=name           your own tables in artifacts/name/data instead of the default data set"
	@echo "  DATA=s3://bucket/mine  tables in an object store, or gs://; they are copied to artifacts/mine/data"
	@echo "  ARTIFACTS=artifacts where all is written: a folder, or s3://bucket/folder, gs://bucket/folder"
	@echo "  ENCODER=folder      rank with this encoder, or a hub's, and leave stage one out"
	@echo "  SEED=0              rules every draw of every stage"
	@echo "  TEACHER=model       hub id, folder, GGUF file, http://host/v1, similarity:<encoder>; several: a,b"
	@echo "  ASSISTANT=encoder   a cross-encoder that learns the teacher's labels and judges in its place"
	@echo "  ENGINE=plain        plain: one process; ray: parts of steps on the Ray cluster at RAY_ADDRESS, else on all cores"
	@echo "  PROMPT=file.txt     what language models are asked; the default one is for four levels"
	@echo "  REPO=user/name      where publish uploads to; DRY_RUN=1 only lists the files, PRIVATE=1 makes it private"
	@echo "  MODEL=encoder       what publish uploads: encoder, ranker, labels or data (pairs and items, no log)"
	@echo "  PYTHON=python3      the Python (3.11 or newer) that makes the environment"
	@echo "  TORCH_INDEX=url     another index to take torch from, such as PyTorch's own for CPU wheels"

setup: $(CHECKS) ## create the environment in .venv, with what tests need; nothing to do if it is up to date

$(STAMP): pyproject.toml constraints.txt
	@command -v "$(PYTHON)" >/dev/null || { \
	  echo "error: $(PYTHON) is not on this machine; install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "error: $(PYTHON) is $$("$(PYTHON)" --version 2>&1), which is too old; name Python 3.11 or newer: make PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "error: $(PYTHON) cannot make environments; install its venv module (Debian and Ubuntu: python3-venv)" >&2; exit 1; }
	@set -e; started=$$(date +%s); \
	"$(PYTHON)" -m venv $(VENV); \
	$(INSTALL) -e '.[$(EXTRAS)]'; \
	echo $$(($$(date +%s) - started)) > $(VENV)/install_seconds; \
	touch $@

data: $(STAMP) ## build the tables of the default data set
	@$(RUN) -m data build $(call flags,$@) $(if $(listings),--listings $(named),$(where))

tables: $(if $(foreign),$(STAMP),data)
	$(if $(uri),@$(RUN) -m data fetch "$(uri)" $(named))
	$(if $(foreign),$(if $(uri)$(findstring ://,$(ARTIFACTS)),,@test -d "$(home)/$(DATA)/data" || { \
	  echo "error: $(home)/$(DATA)/data is not there; write it first: $(RUN) -m data convert FORMAT SOURCE... --name $(DATA)" >&2; exit 2; }))

distill: tables $(cluster) ## stage one: teach the teacher, label pairs, distil and fine-tune the encoder
	@$(RUN) -m distill run $(call flags,$@) $(named) $(engine) $(if $(TEACHER),--teacher "$(TEACHER)") $(if $(ASSISTANT),--assistant "$(ASSISTANT)") $(if $(PROMPT),--prompt "$(PROMPT)")

rank: $(if $(ENCODER),tables,distill) $(cluster) ## stage two, and all before it: train the ranker and print the results
	@$(RUN) -m rank run $(call flags,$@) $(ranked) $(engine) $(if $(ENCODER),--encoder "$(ENCODER)")

demo: rank ## the ranker behind a search box, in the browser: after `make rank`, or PROFILE=smoke in a minute
	@$(RUN) -m rank serve $(call settings,$@) $(named) --log_time

publish: $(STAMP) ## upload the encoder, the ranker, labels or pairs to a hub: make publish REPO=user/name
	@case "$(MODEL)" in encoder|ranker|labels|data) ;; *) \
	  echo "error: MODEL is '$(MODEL)'; publish encoder, ranker, labels or data: make publish REPO=user/name MODEL=ranker" >&2; exit 2; esac
	@$(RUN) -m $(if $(filter ranker,$(MODEL)),rank,distill) publish $(call settings,$@) $(named) --repo "$(REPO)" $(if $(filter labels data,$(MODEL)),--what "$(MODEL)") $(if $(DRY_RUN),--dry_run) $(if $(PRIVATE),--private)

# What tests and checks need beyond that.
$(CHECKS): $(STAMP) $(wildcard tests/object_store.txt)
	@$(INSTALL) -e '.[$(EXTRAS),export,ray,dev]'
	@$(INSTALL) --no-deps -r tests/object_store.txt
	@touch $@

test: $(CHECKS) ## run the tests, offline, in up to four processes
	@$(RUN) -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

lint: $(CHECKS) ## check style and types
	@$(RUN) -m ruff check
	@$(RUN) -m ruff format --check
	@$(RUN) -m mypy

# NO_MKDOCS_2_WARNING: what a newer major version changes is no concern of a pinned one.
docs: $(SITE) ## the documentation as a site in build/site
	@NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --quiet
	@echo "build/site/index.html"

$(SITE): $(STAMP)
	@$(INSTALL) -e '.[$(EXTRAS),docs]'
	@touch $@

$(RAY): $(STAMP)
	@$(INSTALL) -e '.[$(EXTRAS),ray]'
	@touch $@

$(RIVALS): $(STAMP)
	@$(INSTALL) -e '.[$(EXTRAS),bench]'
	@touch $@

bench: $(if $(ENCODER),tables,distill) $(RIVALS) ## the ranker against its rivals and its own parts: SEEDS="0 1 2" SYSTEMS="lightgbm no_debias"
	@$(RUN) -m benchmarks.ranker $(call settings,$@) $(ranked) $(if $(ENCODER),--encoder "$(ENCODER)") $(if $(SEEDS),--seeds $(SEEDS)) $(if $(SYSTEMS),--systems $(SYSTEMS))

clean: ## remove the environment, the caches and everything in artifacts/
	rm -rf $(VENV) artifacts build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
