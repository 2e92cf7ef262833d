#!/usr/bin/env bash
# Driver and executor as Spark on Kubernetes calls them (running-on-kubernetes.html, "Docker
# Images"); anything else is a command: spark-cot, spark-submit, torchrun, python.
set -euo pipefail

# A cluster may choose a user that has no name (OpenShift does), and Hadoop asks for one.
if ! getent passwd "$(id -u)" >/dev/null && [[ -w /etc/passwd ]]; then
  echo "spark-$(id -u):x:$(id -u):0:Spark:/home/spark:/sbin/nologin" >>/etc/passwd
fi

case "${1:-}" in
driver)
  shift
  exec "$SPARK_HOME/bin/spark-submit" --deploy-mode client \
    --conf "spark.driver.bindAddress=$SPARK_DRIVER_BIND_ADDRESS" "$@"
  ;;
executor)
  # Spark hands over JVM options as SPARK_JAVA_OPT_0, SPARK_JAVA_OPT_1, ...
  options=()
  for ((i = 0; ; i++)); do
    name=SPARK_JAVA_OPT_$i
    [[ -v $name ]] || break
    options+=("${!name}")
  done
  exec "${JAVA_HOME:+$JAVA_HOME/bin/}java" "${options[@]}" \
    "-Xms$SPARK_EXECUTOR_MEMORY" "-Xmx$SPARK_EXECUTOR_MEMORY" \
    -cp "$SPARK_CONF_DIR:$SPARK_HOME/jars/*${SPARK_EXTRA_CLASSPATH:+:$SPARK_EXTRA_CLASSPATH}" \
    org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend \
    --driver-url "$SPARK_DRIVER_URL" \
    --executor-id "$SPARK_EXECUTOR_ID" \
    --cores "$SPARK_EXECUTOR_CORES" \
    --app-id "$SPARK_APPLICATION_ID" \
    --hostname "$SPARK_EXECUTOR_POD_IP" \
    --resourceProfileId "$SPARK_RESOURCE_PROFILE_ID" \
    --podName "$SPARK_EXECUTOR_POD_NAME"
  ;;
*)
  exec "$@"
  ;;
esac
