//! Metrics, as Prometheus scrapes them.

use metrics_exporter_prometheus::PrometheusBuilder;

/// Returns the metrics of a future, which runs with a clock that jumps to what is waited for.
pub(crate) fn scraped(run: impl Future<Output = ()>) -> String {
    let recorder = PrometheusBuilder::new().build_recorder();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    metrics::with_local_recorder(&recorder, || runtime.block_on(run));
    recorder.handle().render()
}
