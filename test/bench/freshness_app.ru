# SPDX-License-Identifier: Apache-2.0
#
# The Rails application of test/bench/freshness: 10,000 products in pages of
# 100, by number (`page`) or by the last id seen (`after`), with or without
# num_pages. A good application, to be fair: an index for every query, no N+1,
# nothing logged per request.
#
# BENCH_STATE   a folder for what it writes
# DATABASE_URL  sqlite3 or postgresql, as Active Record has it
# BENCH_STALE   non-empty: the actions begin with stale?, so that an unchanged
#               page costs one short query instead of a render
# BENCH_CACHE   host:port of a memcached: rack-cache in front, over dalli
require "rails"
require "active_record/railtie"
require "action_controller/railtie"
require "digest"

# Not part of the application: how many requests came past rack-cache or
# httpd. GET /up/count reads it.
class RequestCounter
  def initialize(app)
    @app = app
    @count = 0
    @lock = Mutex.new
  end

  def call(env)
    return [200, { "Content-Type" => "text/plain" }, ["#{@count}\n"]] if env["PATH_INFO"] == "/up/count"

    @lock.synchronize { @count += 1 }
    @app.call(env)
  end
end

class Shop < Rails::Application
  config.load_defaults 6.1
  config.api_only = true
  config.eager_load = true
  config.root = ENV.fetch("BENCH_STATE")
  config.secret_key_base = SecureRandom.hex(32)
  config.hosts.clear
  config.logger = ActiveSupport::Logger.new(File.join(config.root, "rails.log"))
  config.log_level = :warn
  config.middleware.insert_before 0, RequestCounter
  unless ENV.fetch("BENCH_CACHE", "").empty?
    require "dalli"
    require "rack/cache"
    server = ENV["BENCH_CACHE"]
    config.middleware.insert_after RequestCounter, Rack::Cache,
                                   verbose: false,
                                   metastore: "memcached://#{server}/meta",
                                   entitystore: "memcached://#{server}/body"
  end
  routes.append do
    scope "/api" do
      get "offset", to: "products#offset"
      get "offset-count", to: "products#offset", counted: true
      get "keyset", to: "products#keyset"
      get "keyset-count", to: "products#keyset", counted: true
    end
  end
end

class Product < ActiveRecord::Base
  PAGE = 100

  def to_row
    { id: id, sku: sku, name: name, price_cents: price_cents,
      description: description, updated_at: updated_at.iso8601(6) }
  end
end

class ProductsController < ActionController::API
  def offset
    page = [params.fetch(:page, 1).to_i, 1].max
    answer(Product.order(:id).offset((page - 1) * Product::PAGE))
  end

  def keyset
    answer(Product.order(:id).where("id > ?", params.fetch(:after, 0).to_i))
  end

  private

  def answer(products)
    products = products.limit(Product::PAGE)
    count = Product.count if params[:counted]
    return unless changed?(products, count)

    page = { products: products.map(&:to_row) }
    page[:num_pages] = (count + Product::PAGE - 1) / Product::PAGE if count
    render json: page
  end

  # The recipe: a tag over what the page shows, before it is rendered.
  def changed?(products, count)
    return true if ENV.fetch("BENCH_STALE", "").empty?

    times = products.pluck(:updated_at)
    tag = Digest::MD5.hexdigest([count, times.sum(&:to_i)].join(","))
    stale?(etag: tag, last_modified: times.max, public: true)
  end
end

# The rows, at the first start.
def seed
  ActiveRecord::Schema.verbose = false
  ActiveRecord::Schema.define do
    create_table :products do |t|
      t.string :name, null: false
      t.string :sku, null: false, index: { unique: true }
      t.integer :price_cents, null: false
      t.text :description
      t.datetime :updated_at, precision: 6, null: false
    end
  end
  start = Time.utc(2024, 1, 1)
  (1..10_000).each_slice(1_000) do |slice|
    Product.insert_all!(slice.map do |i|
      { name: format("Shelf %05d", i), sku: format("SKU-%06d", i),
        price_cents: 990 + i * 7 % 90_000,
        description: "Shelf in oak, number #{i} of the catalogue, made to order.",
        updated_at: start + i * 3_600 }
    end)
  end
  connection = ActiveRecord::Base.connection
  connection.execute(connection.adapter_name == "SQLite" ? "ANALYZE" : "VACUUM ANALYZE products")
end

Shop.initialize!
seed unless ActiveRecord::Base.connection.table_exists?(:products)
run Shop
