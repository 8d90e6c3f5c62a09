#!/usr/bin/env bash
# Runs one stage, the whole pipeline or a command through spark-submit. `./submit.sh --help` explains.
set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"

COMMANDS='compact encoders tune vacuum'
# Of the job; which of them a stage or a command takes stands in options_of.
JOB_OPTIONS='--run-date --as-of --set --device --days --dry-run --candidates --texts --users --items --rounds --out --trials --parallel --seed'

among() { # WORD WORDS
  [[ " $2 " == *" $1 "* ]]
}

stages() {
  local file name
  for file in "$ROOT"/jobs/*.py; do
    name="$(basename "$file" .py)"
    among "$name" "$COMMANDS" || echo "$name"
  done | paste -sd' ' -
}

options_of() { # STAGE or COMMAND
  case "$1" in
    compact) ;;
    vacuum) echo '--days --dry-run' ;;
    encoders) echo '--run-date --candidates --texts --users --items --rounds --out' ;;
    tune) echo '--run-date --as-of --trials --parallel --seed --out' ;;
    *) echo '--run-date --as-of --set --device' ;;
  esac
}

usage() {
  cat <<USAGE
usage: ./submit.sh STAGE   --config FILE --run-date YYYY-MM-DD [options] [spark-submit options]
       ./submit.sh COMMAND --config FILE [options] [spark-submit options]

STAGE is one of:   $(stages)
COMMAND is one of: $COMMANDS

options of stages, which go to the job
  --config FILE           the job's configuration, a TOML file (--conf k=v stays Spark's); of commands as well
  --run-date YYYY-MM-DD   the partition that is written
  --as-of TIME            data cut-off; no behaviour at or after it is read (default: run-date)
  --set KEY=VALUE         override one configuration key, such as run.top_n=50; may be repeated
  --device DEVICE         auto, cpu or cuda: overrides encoder.device, model.device and score.device

options of commands, which go to the job
  vacuum    --days N      keep what a run of the last N days used (default: 30)
            --dry-run     say what would go, and delete nothing
  encoders  --run-date YYYY-MM-DD  data before this day (default: today)
            --candidates LIST      MODEL[@BACKEND],... or a .toml file
            --texts N --users N --items N --rounds N
            --out DIR     where the report goes, on the driver's machine
  tune      --run-date YYYY-MM-DD --as-of TIME   as for stages
            --trials N --parallel N --seed N     how many configurations of [model] are tried, and how many at once
            --out FILE    where the winner goes as a configuration file, on the driver's machine

options of submit.sh
  --env-archive FILE      a packed Python environment, unpacked and used on every executor
  --with-env              pack .venv into such an archive first (its base Python must be on the nodes)
  --verbose               show stack traces, and spark-submit's own settings
  --gpu                   use conf/spark/gpu.conf
  --spark-conf-file FILE  use this properties file instead of conf/spark/{local,cpu,gpu}.conf

Everything else goes to spark-submit as it is, in order: --master yarn --conf "spark.x=a b" ...
Without a master the job runs in this process with all cores. In cluster deploy mode the configuration
travels with --files; the paths in it must then be absolute or carry a scheme.

The exit status is the exit status of the job (docs/runbook.md lists them), 2 where the command line is wrong, or 10
where Spark cannot start.
USAGE
}

# The command line is wrong: what, and lines of found, expected, to do.
fail() {
  printf 'submit.sh: %s\n' "$1" >&2
  shift
  if (($#)); then printf '  %s\n' "$@" >&2; fi
  exit 2
}

# Spark cannot start here: the same form and status as StartupError in recsys_spark/errors.py.
no_start() { # WHAT WHERE FOUND EXPECTED TO_DO
  printf '\nStartupError: %s\n  where:    %s\n  found:    %s\n  expected: %s\n  to do:    %s\n' "$@" >&2
  exit 10
}

if (($# == 0)); then
  usage >&2
  exit 2
fi
case "$1" in -h | --help)
  usage
  exit 0
  ;;
esac

stage="$1"
shift
if [[ "$stage" == */* || ! -f "$ROOT/jobs/$stage.py" ]]; then
  fail "there is no stage '$stage'" "stages:   $(stages)" "commands: $COMMANDS" \
    "to do:    ./submit.sh STAGE --config FILE --run-date YYYY-MM-DD"
fi
own_options="$(options_of "$stage")"

config='' run_date='' candidates='' master='' conf_master='' deploy_mode='' conf_deploy_mode='' properties_file='' spark_conf_file='' env_archive=''
with_env=false gpu=false
job_args=() spark_args=() py_files=() files=() archives=()

# Only what decides something here is looked at; the option itself still goes on to spark-submit untouched.
notice_conf() {
  case "$1" in
    spark.master=*) conf_master="${1#*=}" ;;
    spark.submit.deployMode=*) conf_deploy_mode="${1#*=}" ;;
    spark.executor.resource.gpu.amount=0 | spark.task.resource.gpu.amount=0) ;;
    spark.executor.resource.gpu.amount=* | spark.task.resource.gpu.amount=*) gpu=true ;;
  esac
}

while (($#)); do
  option="$1"
  value="${2-}"
  width=2
  # --option=value is the same as --option value.
  if [[ "$option" == --*=* ]]; then
    value="${option#*=}"
    option="${option%%=*}"
    width=1
  fi
  if among "$option" "$JOB_OPTIONS" && ! among "$option" "$own_options"; then
    fail "$stage takes no $option" "expected: ${own_options:-none of $JOB_OPTIONS}" "to do:    ./submit.sh --help"
  fi
  case "$option" in
    -h | --help)
      usage
      exit 0
      ;;
    --dry-run)
      job_args+=("$1")
      shift
      continue
      ;;
    --with-env)
      with_env=true
      shift
      continue
      ;;
    --gpu)
      gpu=true
      shift
      continue
      ;;
    --verbose)
      job_args+=(--verbose) spark_args+=(--verbose)
      shift
      continue
      ;;
    --config | --run-date | --as-of | --set | --device | --days | --candidates | --texts | --users | --items | \
      --rounds | --out | --trials | --parallel | --seed | --env-archive | --spark-conf-file | \
      --master | --deploy-mode | --conf | -c | --properties-file | --py-files | --files | --archives)
      (($# >= width)) || fail "$option needs a value" "to do:    ./submit.sh --help"
      ;;
    *)
      spark_args+=("$1")
      shift
      continue
      ;;
  esac
  given=("${@:1:width}")
  shift "$width"
  case "$option" in
    --config) config="$value" ;;
    --run-date) run_date="$value" ;;
    --candidates) candidates="$value" ;;
    --as-of | --set | --device | --days | --texts | --users | --items | --rounds | --out | --trials | --parallel | --seed)
      job_args+=("$option" "$value")
      ;;
    --env-archive) env_archive="$value" ;;
    --spark-conf-file) spark_conf_file="$value" ;;
    # spark-submit takes the last of these and forgets the earlier ones, so they are joined with ours.
    --py-files) py_files+=("$value") ;;
    --files) files+=("$value") ;;
    --archives) archives+=("$value") ;;
    --master) master="$value" spark_args+=("${given[@]}") ;;
    --deploy-mode) deploy_mode="$value" spark_args+=("${given[@]}") ;;
    --properties-file) properties_file="$value" spark_args+=("${given[@]}") ;;
    --conf | -c)
      notice_conf "$value"
      spark_args+=("${given[@]}")
      ;;
  esac
done

[[ -n "$config" ]] || fail "--config is missing" "expected: --config FILE, a TOML file; see conf/ for examples"
if [[ -z "$run_date" && ("$stage" == tune || " $COMMANDS " != *" $stage "*) ]]; then
  fail "--run-date is missing" "expected: --run-date YYYY-MM-DD"
fi
if [[ "$config" != *://* && ! -f "$config" ]]; then
  fail "the configuration file does not exist" "found:    $config" "to do:    pass --config FILE; see conf/ for examples"
fi

# The driver's Python: what the caller says, else this checkout's environment, else whatever there is.
python="${PYSPARK_DRIVER_PYTHON:-}"
if [[ -z "$python" && -x "$ROOT/.venv/bin/python" ]]; then python="$ROOT/.venv/bin/python"; fi
python="${python:-${PYSPARK_PYTHON:-python3}}"

# An empty entry of PYTHONPATH means the working directory, from which no Python below may import.
if [[ -n "${PYTHONPATH:-}" ]]; then
  entries=''
  IFS=: read -ra parts <<<"$PYTHONPATH"
  for part in "${parts[@]}"; do
    if [[ -n "$part" && "${part%/}" != . ]]; then entries="$entries:$part"; fi
  done
  export PYTHONPATH="${entries#:}"
fi

# Where Spark is; deploy/launch.py says what is wrong with it.
if ! found="$("$python" "$ROOT/deploy/launch.py" --spark-home 2>&1)"; then
  no_start "The driver's Python does not start" "$python" "${found##*$'\n'}" "Python 3.11 or later" \
    "run make demo once, or set PYSPARK_DRIVER_PYTHON or PYSPARK_PYTHON to a Python"
fi
SPARK_HOME="${found##*$'\n'}"
if [[ -n "$SPARK_HOME" ]]; then export SPARK_HOME; else unset SPARK_HOME; fi
spark_submit="${SPARK_HOME:-}/bin/spark-submit"

# A master may also stand in a properties file or in the platform's own defaults.
property() { # FILE KEY
  if [[ -f "$1" ]]; then sed -nE "s/^[[:space:]]*${2//./\\.}[[:space:]=:]+(.*[^[:space:]])[[:space:]]*$/\1/p" "$1" | tail -n 1; fi
}
master="${master:-$conf_master}"
deploy_mode="${deploy_mode:-$conf_deploy_mode}"
for source in "$properties_file" "$spark_conf_file" "${SPARK_CONF_DIR:-${SPARK_HOME:-}/conf}/spark-defaults.conf"; do
  master="${master:-$(property "$source" spark.master)}"
  deploy_mode="${deploy_mode:-$(property "$source" spark.submit.deployMode)}"
done
# The name comes before the caller's options, so that --name among them wins.
submit_args=(--name "recsys-spark $stage")
if [[ -z "$master" ]]; then
  master='local[*]'
  submit_args+=(--master "$master")
fi

profile=cpu
if [[ "$gpu" == true ]]; then profile=gpu; fi
if [[ "$master" == local* ]]; then profile=local; fi
if [[ -z "$properties_file" ]]; then
  # Without --load-spark-defaults a properties file would hide the platform's spark-defaults.conf.
  submit_args+=(--properties-file "${spark_conf_file:-$ROOT/conf/spark/$profile.conf}" --load-spark-defaults)
fi
if [[ "$profile" == gpu ]]; then files=("$ROOT/deploy/gpus.sh" "${files[@]}"); fi

build="$ROOT/build/submit"
if ! mkdir -p "$build" 2>/dev/null || [[ ! -w "$build" ]]; then build="$(mktemp -d "${TMPDIR:-/tmp}/recsys-spark.XXXXXX")"; fi
py_files=("$("$python" "$ROOT/deploy/package_zip.py" "$ROOT/recsys_spark" "$build")" "${py_files[@]}")

if [[ "$with_env" == true ]]; then
  [[ -z "$env_archive" ]] || fail "--with-env and --env-archive exclude each other" "to do:    keep one of them"
  [[ -d "$ROOT/.venv" ]] || fail "--with-env packs .venv, which does not exist" "to do:    run make demo once"
  env_archive="$("$ROOT/deploy/pack_env.sh" "$ROOT/.venv" "$build")"
fi
if [[ -n "$env_archive" ]]; then
  if [[ "$env_archive" != *://* && ! -f "$env_archive" ]]; then
    fail "the environment archive does not exist" "found:    $env_archive"
  fi
  archives=("$env_archive#environment" "${archives[@]}")
  submit_args+=(--conf spark.pyspark.python=./environment/bin/python)
  # In client mode the driver runs here, where nothing is unpacked.
  if [[ "$deploy_mode" != cluster ]]; then submit_args+=(--conf "spark.pyspark.driver.python=$python"); fi
fi

if [[ "$deploy_mode" == cluster ]]; then
  # There the working directory holds the files that travel with the job.
  submit_args+=(--conf spark.yarn.appMasterEnv.PYTHONSAFEPATH=1 --conf spark.kubernetes.driverEnv.PYTHONSAFEPATH=1)
  files=("$config" "${files[@]}")
  config="$(basename "$config")"
  if [[ -f "$candidates" ]]; then
    files+=("$candidates")
    candidates="$(basename "$candidates")"
  fi
else
  export PYSPARK_DRIVER_PYTHON="$python"
  if [[ "$master" == local* ]]; then export PYSPARK_PYTHON="${PYSPARK_PYTHON:-$python}"; fi
fi

joined() { # ITEM...
  local IFS=,
  printf '%s' "$*"
}
submit_args+=(--py-files "$(joined "${py_files[@]}")")
if ((${#files[@]})); then submit_args+=(--files "$(joined "${files[@]}")"); fi
if ((${#archives[@]})); then submit_args+=(--archives "$(joined "${archives[@]}")"); fi

required=(--config "$config")
if [[ -n "$run_date" ]]; then required+=(--run-date "$run_date"); fi
if [[ -n "$candidates" ]]; then job_args+=(--candidates "$candidates"); fi

options=("$spark_submit" "${submit_args[@]}" "${spark_args[@]}")
exec "$python" "$ROOT/deploy/launch.py" --master "$master" --deploy-mode "${deploy_mode:-client}" --options "${#options[@]}" \
  -- "${options[@]}" "$ROOT/jobs/$stage.py" "${required[@]}" "${job_args[@]}"
