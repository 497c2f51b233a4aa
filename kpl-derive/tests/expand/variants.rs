#[derive(KplRecord)]
#[kpl(codec = kpl::codec::Json)]
enum Event {
    #[kpl(transparent)]
    Placed(OrderPlaced),
    #[kpl(partition_key = "{order.id:08x}/{order.customer.0}")]
    Shipped {
        order: Order,
    },
    Cancelled {
        #[kpl(partition_key, elide)]
        order: String,
    },
}
